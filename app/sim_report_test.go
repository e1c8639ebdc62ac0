package app_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/app"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

// simRow counts what became of one kind of message, or of the items of one kind of batch.
type simRow struct {
	accepted, refused int
	// spoiled were made wrong on purpose; they are not among the others.
	spoiledAccepted, spoiledRefused int
	reasons                         map[string]int
}

// simReport is what a run reached.
type simReport struct {
	delivered int
	blocks    int
	rows      map[string]*simRow
	items     map[string]*simRow
	events    map[string]int
	// proposals are the kinds of the messages of open proposals.
	proposals map[string]string
	spent     map[string]grantState
}

// grantState is a grant to deposit as it was after the block before.
type grantState struct{ limits, spent sdk.Coins }

func newSimReport() *simReport {
	return &simReport{
		rows: map[string]*simRow{}, items: map[string]*simRow{}, events: map[string]int{},
		proposals: map[string]string{}, spent: map[string]grantState{},
	}
}

func rowOf(rows map[string]*simRow, kind string) *simRow {
	row, ok := rows[kind]
	if !ok {
		row = &simRow{reasons: map[string]int{}}
		rows[kind] = row
	}
	return row
}

// count adds an outcome. An error without a code of its own, or a panic, is a mistake of the chain.
func (row *simRow) count(codespace string, code uint32, spoiled bool, log string) error {
	if code == 0 {
		if spoiled {
			row.spoiledAccepted++
		} else {
			row.accepted++
		}
		return nil
	}
	reason := fmt.Sprintf("%s/%d", codespace, code)
	if spoiled {
		row.spoiledRefused++
	} else {
		row.refused++
		row.reasons[reason]++
	}
	if code == 1 || codespace == "undefined" || code == sdkerrors.ErrPanic.ABCICode() {
		return fmt.Errorf("refused with %s, which is no registered error: %s", reason, log)
	}
	return nil
}

// add counts a block.
func (rep *simReport) add(a *app.App, b simBlock, res *abci.ResponseFinalizeBlock) error {
	rep.blocks++
	for i, tx := range res.TxResults {
		rep.delivered++
		op := b.ops[i]
		if err := rowOf(rep.rows, op.kind).count(tx.Codespace, tx.Code, op.spoiled, tx.Log); err != nil {
			return fmt.Errorf("transaction %d, %s: %w", i, op.kind, err)
		}
		if err := rep.addItems(op, tx); err != nil {
			return fmt.Errorf("transaction %d, %s: %w", i, op.kind, err)
		}
		rep.addEvents(tx.Events, op.kind)
	}
	rep.addEvents(res.Events, "")
	return rep.addProposals(res)
}

// addItems counts the items of an accepted batch.
func (rep *simReport) addItems(op simOp, tx *abci.ExecTxResult) error {
	if tx.Code != 0 {
		return nil
	}
	var data sdk.TxMsgData
	if err := proto.Unmarshal(tx.Data, &data); err != nil {
		return err
	}
	for _, any := range data.MsgResponses {
		url, value := any.TypeUrl, any.Value
		if url == sdk.MsgTypeURL(&authz.MsgExecResponse{}) {
			var exec authz.MsgExecResponse
			if err := proto.Unmarshal(value, &exec); err != nil {
				return err
			}
			for kind, response := range map[string]string{"CreateBids": "MsgCreateBidsResponse", "CloseBids": "MsgCloseBidsResponse", "WithdrawLeases": "MsgWithdrawLeasesResponse"} {
				if strings.Contains(op.kind, kind) && len(exec.Results) > 0 {
					url, value = "/berth.market.v1."+response, exec.Results[0]
				}
			}
		}
		results, err := itemsOf(url, value)
		if err != nil {
			return err
		}
		for _, r := range results {
			if err := rowOf(rep.items, op.kind).count(r.Codespace, r.Code, op.spoiled, "item of a batch"); err != nil {
				return err
			}
		}
	}
	return nil
}

func itemsOf(url string, value []byte) ([]markettypes.ItemResult, error) {
	switch url {
	case sdk.MsgTypeURL(&markettypes.MsgCreateBidsResponse{}):
		var m markettypes.MsgCreateBidsResponse
		err := proto.Unmarshal(value, &m)
		return m.Results, err
	case sdk.MsgTypeURL(&markettypes.MsgCloseBidsResponse{}):
		var m markettypes.MsgCloseBidsResponse
		err := proto.Unmarshal(value, &m)
		return m.Results, err
	case sdk.MsgTypeURL(&markettypes.MsgWithdrawLeasesResponse{}):
		var m markettypes.MsgWithdrawLeasesResponse
		err := proto.Unmarshal(value, &m)
		var out []markettypes.ItemResult
		for _, r := range m.Results {
			out = append(out, markettypes.ItemResult{Codespace: r.Codespace, Code: r.Code})
		}
		return out, err
	}
	return nil, nil
}

// addEvents counts the chain's own events, and what they tell beyond their type. kind is the message that they belong
// to; an end block has none.
func (rep *simReport) addEvents(events []abci.Event, kind string) {
	for _, e := range events {
		name, ok := strings.CutPrefix(e.Type, "berth.")
		if !ok {
			continue
		}
		name = strings.NewReplacer(".v1.Event", " ").Replace(name)
		rep.events[name]++
		text := ""
		for _, attr := range e.Attributes {
			text += attr.Value
		}
		switch name {
		case "market LeaseCreated":
			if kind == "" {
				rep.events["auction won"]++
			} else {
				rep.events["lease by the tenant"]++
			}
			if !strings.Contains(text, `"matched":[]`) {
				rep.events["lease with frozen attributes"]++
			}
		case "market LeaseClosed":
			rep.events["lease closed, "+textOf(text, `"reason":"CLOSE_REASON_`)]++
			if !strings.Contains(text, `"reclaim_deadline":"0"`) {
				rep.events["lease closed after its notice"]++
			}
		case "market BidClosed":
			if strings.Contains(kind, "MsgCreateBids") {
				rep.events["bid evicted"]++
			}
		case "escrow Paid":
			if !strings.Contains(text, `"taken":"0"`) {
				rep.events["payment with a take"]++
			}
		case "escrow AccountClosed":
			if kind == "" {
				rep.events["account expired"]++
			}
		case "deployment GroupPaused":
			if kind == "" {
				rep.events["group paused by an auction"]++
			}
		}
	}
}

// textOf is what follows a prefix up to the next quote.
func textOf(text, prefix string) string {
	_, rest, _ := strings.Cut(text, prefix)
	name, _, _ := strings.Cut(rest, `"`)
	return strings.ToLower(name)
}

// addProposals counts the messages that governance executed.
func (rep *simReport) addProposals(res *abci.ResponseFinalizeBlock) error {
	attributes := func(e abci.Event) map[string]string {
		out := map[string]string{}
		for _, a := range e.Attributes {
			out[a.Key] = a.Value
		}
		return out
	}
	for _, tx := range res.TxResults {
		for _, e := range tx.Events {
			if attrs := attributes(e); e.Type == "submit_proposal" && attrs["proposal_messages"] != "" {
				name := strings.Trim(attrs["proposal_messages"], ",/")
				rep.proposals[attrs["proposal_id"]] = strings.NewReplacer("berth.", "", ".v1", "").Replace(name)
			}
		}
	}
	for _, e := range res.Events {
		if e.Type != "active_proposal" {
			continue
		}
		attrs := attributes(e)
		row := rowOf(rep.rows, rep.proposals[attrs["proposal_id"]]+" by governance")
		if attrs["proposal_result"] == "proposal_passed" {
			row.accepted++
			continue
		}
		row.refused++
		row.reasons[attrs["proposal_result"]]++
	}
	return nil
}

// grants counts refunds to grants: the limit of one that stands unchanged was given back in part.
func (rep *simReport) grants(ctx sdk.Context, a *app.App) {
	now := map[string]grantState{}
	for _, g := range a.AuthzKeeper.ExportGenesis(ctx).Authorization {
		limit, ok := g.Authorization.GetCachedValue().(*escrowtypes.DepositAuthorization)
		if !ok {
			continue
		}
		key := g.Granter + "/" + g.Grantee
		now[key] = grantState{limits: limit.Limits, spent: limit.Spent}
		before, known := rep.spent[key]
		if !known || !before.limits.Equal(limit.Limits) || before.spent.Equal(limit.Spent) {
			continue
		}
		if before.spent.IsAllGTE(limit.Spent) {
			rep.events["grant's limit restored"]++
		} else {
			rep.events["grant drawn"]++
		}
	}
	rep.spent = now
}

// merge adds another run's counts.
func (rep *simReport) merge(o *simReport) {
	rep.delivered += o.delivered
	rep.blocks += o.blocks
	for _, pair := range []struct{ to, from map[string]*simRow }{{rep.rows, o.rows}, {rep.items, o.items}} {
		for kind, row := range pair.from {
			to := rowOf(pair.to, kind)
			to.accepted += row.accepted
			to.refused += row.refused
			to.spoiledAccepted += row.spoiledAccepted
			to.spoiledRefused += row.spoiledRefused
			for reason, n := range row.reasons {
				to.reasons[reason] += n
			}
		}
	}
	for name, n := range o.events {
		rep.events[name] += n
	}
}

// String is the report as a table.
func (rep *simReport) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%d transactions delivered in %d blocks\n", rep.delivered, rep.blocks)
	for _, part := range []struct {
		title string
		rows  map[string]*simRow
	}{{"message", rep.rows}, {"items of", rep.items}} {
		fmt.Fprintf(&sb, "\n%-52s %9s %9s %6s %10s  %s\n", part.title, "accepted", "refused", "%", "spoiled", "refusals by codespace/code")
		for _, kind := range slices.Sorted(maps.Keys(part.rows)) {
			row := part.rows[kind]
			fmt.Fprintf(&sb, "%-52s %9d %9d %6.1f %10s  %s\n", kind, row.accepted, row.refused, row.share(),
				fmt.Sprintf("%d/%d", row.spoiledAccepted, row.spoiledRefused), row.reasonText())
		}
	}
	sb.WriteString("\nreached\n")
	for _, name := range slices.Sorted(maps.Keys(rep.events)) {
		fmt.Fprintf(&sb, "%-52s %9d\n", name, rep.events[name])
	}
	return sb.String()
}

// share is how many of the honest messages were accepted, in percent.
func (row *simRow) share() float64 {
	if row.accepted+row.refused == 0 {
		return 100
	}
	return 100 * float64(row.accepted) / float64(row.accepted+row.refused)
}

func (row *simRow) reasonText() string {
	reasons := slices.SortedFunc(maps.Keys(row.reasons), func(a, b string) int {
		if row.reasons[a] != row.reasons[b] {
			return row.reasons[b] - row.reasons[a]
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, r := range reasons {
		out = append(out, fmt.Sprintf("%s %d", r, row.reasons[r]))
	}
	return strings.Join(out, ", ")
}

// The floors of a run.
const (
	// simShare is how many percent of the honest messages of each kind are accepted at least.
	simShare = 60
	// simAccepted is how many of each kind are accepted at least for every simLong transactions. A run of less than a quarter
	// of that need only accept one of each.
	simAccepted, simLong = 100, 100_000
)

// wantedMessages are all messages of the chain's own modules, and those through which others act.
var wantedMessages = []string{
	"audit.MsgRevokeAttributes", "audit.MsgSignAttributes",
	"authz.MsgExec(escrow.MsgDeposit)", "authz.MsgExec(market.MsgCloseBids)", "authz.MsgExec(market.MsgCreateBids)",
	"authz.MsgExec(market.MsgWithdrawLeases)", "authz.MsgGrant", "authz.MsgRevoke",
	"deployment.MsgCloseDeployment", "deployment.MsgCloseGroup", "deployment.MsgCreateDeployment", "deployment.MsgPauseGroup",
	"deployment.MsgStartGroup", "deployment.MsgUpdateDeployment", "deployment.MsgUpdateParams by governance",
	"escrow.MsgDeposit", "escrow.MsgUpdateParams by governance",
	"market.MsgCloseBids", "market.MsgCloseLease", "market.MsgCreateBids", "market.MsgCreateLease", "market.MsgStartReclaim",
	"market.MsgUpdateParams by governance", "market.MsgWithdrawLeases",
	"provider.MsgCreateProvider", "provider.MsgDeleteProvider", "provider.MsgSetGatewayKey", "provider.MsgUpdateProvider",
}

// wantedEvents are what a long run must reach: each is a path on its own through the modules.
var wantedEvents = []string{
	"account expired", "auction won", "bid evicted", "deployment DeploymentPruned", "deployment GroupClosed", "deployment GroupPaused",
	"deployment GroupStarted", "escrow AccountResumed", "escrow AccountSuspended", "grant drawn", "grant's limit restored",
	"group paused by an auction", "lease by the tenant", "lease closed after its notice", "lease closed, decommission",
	"lease closed, insufficient_funds", "lease closed, manifest_timeout", "lease closed, tenant", "lease closed, unspecified",
	"lease closed, unstable", "lease with frozen attributes", "market LeaseReclaiming", "market LeaseResumed",
	"market LeaseSuspended", "payment with a take",
}

// wantedRefusals are what honest messages must run into: a kind of message and the code.
var wantedRefusals = [][2]string{
	{"provider.MsgUpdateProvider", "provider/10"}, {"provider.MsgDeleteProvider", "provider/11"},
	{"deployment.MsgCreateDeployment", "escrow/13"},
}

// lacks lists what a run should have reached and did not. Only a long one must reach everything.
func (rep *simReport) lacks() []string {
	var out []string
	floor := 1
	if rep.delivered >= simLong/4 {
		floor = simAccepted * rep.delivered / simLong
	}
	for _, kind := range wantedMessages {
		row := rowOf(rep.rows, kind)
		if row.accepted < floor {
			out = append(out, fmt.Sprintf("%s: %d were accepted, the floor is %d", kind, row.accepted, floor))
		}
	}
	if rep.delivered < simLong/4 {
		return out
	}
	for _, kind := range wantedMessages {
		if share := rowOf(rep.rows, kind).share(); share < simShare {
			out = append(out, fmt.Sprintf("%s: %.1f %% were accepted, the floor is %d %%", kind, share, simShare))
		}
	}
	for _, name := range wantedEvents {
		if rep.events[name] == 0 {
			out = append(out, name+": never reached")
		}
	}
	for _, want := range wantedRefusals {
		if rowOf(rep.rows, want[0]).reasons[want[1]] == 0 {
			out = append(out, want[0]+" was never refused with "+want[1])
		}
	}
	return out
}
