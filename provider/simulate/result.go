package simulate

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/pricing"
)

// Result is what became of a provider in a replay. Amounts of money are decimals of the denom, exact.
type Result struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	ChainID  string `json:"chain_id"`
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	// Seconds is what the recording's blocks took.
	Seconds int64 `json:"seconds"`

	// Orders were seen, Bids made on them; Expired are those of the bids whose time ran out.
	Orders  int `json:"orders"`
	Bids    int `json:"bids"`
	Expired int `json:"bids_expired"`
	// Leased orders went to somebody in the recording; on Contested ones of them a bid of ours stood; Won were ours.
	Leased    int `json:"leased"`
	Contested int `json:"contested"`
	Won       int `json:"won"`
	// Running are won leases that had not ended with the recording.
	Running int `json:"running"`
	// WinRate is Won of Contested, in thousandths; -1 without any.
	WinRate int64 `json:"win_rate_permille"`

	Refusals []Refusal `json:"refusals"`
	// Revenue is what the won leases paid, Month that at the same pace for 30 days.
	Revenue []Money `json:"revenue"`
	Month   []Money `json:"revenue_per_month"`
	// Left is what the winning bids asked less than what the recorded leases cost, per block and for all of them together:
	// what a higher price could have brought.
	Left []Money `json:"left_on_the_table_per_block"`

	Utilisation []Utilisation `json:"utilisation"`

	revenue, left map[string]math.LegacyDec
	refusals      map[bid.Code]*Refusal
	samples       []sample
}

// Refusal is a kind of reason against bids.
type Refusal struct {
	Code   string `json:"code"`
	Orders int    `json:"orders"`
	// Example is the first one, with its numbers.
	Example string `json:"example"`
}

// Money is an amount of a denom.
type Money struct {
	Denom  string `json:"denom"`
	Amount string `json:"amount"`
}

// Utilisation is how much of a resource was held for bids and leases, in thousandths of what there is.
type Utilisation struct {
	Resource string `json:"resource"`
	Capacity int64  `json:"capacity"`
	// Mean is over the recording's blocks, Peak its highest moment.
	Mean int64 `json:"mean_permille"`
	Peak int64 `json:"peak_permille"`
	// Course is the share at evenly spaced heights, the last one at the end.
	Course []int64 `json:"course_permille"`
}

// sample is what was held from a height on.
type sample struct {
	height int64
	held   inventory.Amounts
}

func newResult(r *Recording, s Setup, block time.Duration) *Result {
	return &Result{
		Name: s.Name, Provider: s.Snapshot.Provider, ChainID: r.ChainID, From: r.From, To: r.To,
		Seconds: int64(time.Duration(r.To-r.From+1) * block / time.Second), WinRate: -1,
		Refusals: []Refusal{}, Revenue: []Money{}, Month: []Money{}, Left: []Money{}, Utilisation: []Utilisation{},
		revenue: map[string]math.LegacyDec{}, left: map[string]math.LegacyDec{}, refusals: map[bid.Code]*Refusal{},
	}
}

func (r *Result) refuse(reason bid.Reason) {
	f := r.refusals[reason.Code]
	if f == nil {
		f = &Refusal{Code: string(reason.Code), Example: reason.String()}
		r.refusals[reason.Code] = f
	}
	f.Orders++
}

func add(sums map[string]math.LegacyDec, denom string, amount math.LegacyDec) {
	if sum, ok := sums[denom]; ok {
		amount = sum.Add(amount)
	}
	sums[denom] = amount
}

// earn notes what a lease paid over some blocks.
func (r *Result) earn(price sdk.DecCoin, blocks int64) {
	add(r.revenue, price.Denom, price.Amount.MulInt64(max(0, blocks)))
}

// undercut notes how far below the recorded price a winning bid was.
func (r *Result) undercut(recorded, own sdk.DecCoin) {
	add(r.left, own.Denom, recorded.Amount.Sub(own.Amount))
}

// sample notes what is held from a height on.
func (r *Result) sample(height int64, c bid.Counts) {
	s := sample{height: height}
	for _, resource := range inventory.Resources() {
		s.held[resource] = c.Capacity[resource] - c.Free[resource]
	}
	if len(r.samples) == 0 {
		for _, resource := range inventory.Resources() {
			r.Utilisation = append(r.Utilisation, Utilisation{Resource: resource.String(), Capacity: c.Capacity[resource]})
		}
	}
	r.samples = append(r.samples, s)
}

// close works out what can only be said at the end.
func (r *Result) close(to int64) {
	if r.Contested > 0 {
		r.WinRate = int64(r.Won) * 1000 / int64(r.Contested)
	}
	for _, f := range r.refusals {
		r.Refusals = append(r.Refusals, *f)
	}
	slices.SortFunc(r.Refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Orders, a.Orders), strings.Compare(a.Code, b.Code))
	})
	r.Revenue, r.Left = money(r.revenue), money(r.left)
	month := make(map[string]math.LegacyDec, len(r.revenue))
	if r.Seconds > 0 {
		for denom, amount := range r.revenue {
			month[denom] = amount.MulInt64(int64(pricing.Month / time.Second)).QuoInt64(r.Seconds)
		}
	}
	r.Month = money(month)
	for i, resource := range inventory.Resources() {
		if i < len(r.Utilisation) {
			r.utilise(&r.Utilisation[i], resource, to)
		}
	}
	// Unlimited resources say nothing.
	r.Utilisation = slices.DeleteFunc(r.Utilisation, func(u Utilisation) bool { return u.Capacity <= 0 })
}

func money(sums map[string]math.LegacyDec) []Money {
	out := []Money{}
	for _, denom := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, Money{denom, trim(sums[denom].String())})
	}
	return out
}

// trim leaves out the zeros behind a decimal.
func trim(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// points is how many heights a course has.
const points = 120

// utilise works out mean, peak and course of a resource.
func (r *Result) utilise(u *Utilisation, resource inventory.Resource, to int64) {
	if u.Capacity <= 0 || len(r.samples) == 0 {
		return
	}
	share := func(held int64) int64 { // in thousandths; more than all, when capacity is promised that is not there
		n := new(big.Int).Mul(big.NewInt(held), big.NewInt(1000))
		return n.Div(n, big.NewInt(u.Capacity)).Int64()
	}
	sum := new(big.Int)
	first := r.samples[0].height
	for i, s := range r.samples {
		until := to + 1
		if i+1 < len(r.samples) {
			until = r.samples[i+1].height
		}
		sum.Add(sum, new(big.Int).Mul(big.NewInt(s.held[resource]), big.NewInt(until-s.height)))
		u.Peak = max(u.Peak, share(s.held[resource]))
	}
	mean := sum.Div(sum, big.NewInt(max(1, to+1-first)))
	u.Mean = share(mean.Int64())
	n := int(min(points, to-first+1))
	at := 0
	for k := range n {
		height := first
		if n > 1 {
			height += (to - first) * int64(k) / int64(n-1)
		}
		for at+1 < len(r.samples) && r.samples[at+1].height <= height {
			at++
		}
		u.Course = append(u.Course, share(r.samples[at].held[resource]))
	}
}

// permille writes thousandths as a percentage.
func permille(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n/10, 10) + "." + strconv.FormatInt(n%10, 10) + " %"
}
