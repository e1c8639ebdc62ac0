package sdl20

import (
	"regexp"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
	providertypes "berth.dev/berth/x/provider/types"
)

func readPlacement(r *sdl.Reporter, n *doc.Node) stack.Placement {
	p := stack.Placement{Ref: stack.Ref{Name: n.Name(), At: n}}
	stack.CheckGroupName(r, n)
	o, ok := n.Object(r, placementShape)
	if !ok {
		return p
	}
	if attributes := o.Get("attributes"); attributes != nil {
		p.Attributes = stack.ReadAttributes(r, attributes)
	}
	if signed := o.Get("signedBy"); signed != nil {
		if o, ok := signed.Object(r, signedByShape); ok {
			p.SignedBy = sdl.SignedBy{AllOf: readAuditors(r, o.Get("allOf"), "allOf"), AnyOf: readAuditors(r, o.Get("anyOf"), "anyOf")}
		}
	}
	if pricing := o.Require(r, "pricing", "pricing: {web: {denom: ubrt, amount: 20}}"); pricing != nil {
		for _, node := range stack.Named(r, pricing, "pricing", "web: {denom: ubrt, amount: 20}") {
			p.Pricing = append(p.Pricing, readPrice(r, node))
		}
	}
	return p
}

// foreign is an address of another chain: its prefix, and what follows.
var foreign = regexp.MustCompile(`^[a-z]{1,83}1[02-9ac-hj-np-z]{38,58}$`)

// readAuditors reads the addresses of auditors. One of another chain is kept, with a warning: nobody can have signed
// with it here, so that no provider will do.
func readAuditors(r *sdl.Reporter, n *doc.Node, what string) []string {
	if n == nil {
		return nil
	}
	entries, _ := n.Entries(r, what)
	if len(entries) > manifest.MaxAuditors {
		r.Report(n.Key().Problem("E-LIMIT", "%d auditors in %s, at most %d are allowed", len(entries), what, manifest.MaxAuditors))
		return nil
	}
	var out []string
	for _, e := range entries {
		text, ok := e.Scalar(r, "an auditor")
		if !ok {
			continue
		}
		if slices.Contains(out, text) {
			r.Report(e.Problem("E-AUDITOR", "%s stands in %s twice", e.Show(), what))
			continue
		}
		if _, err := providertypes.ParseAddress("auditor", text); err != nil {
			if !foreign.MatchString(text) {
				r.Report(e.Problem("E-AUDITOR", "%s is not an address", e.Show()).WithAllowed("the address of an account, such as berth1..."))
				continue
			}
			r.Warn(e.Problem("W-AUDITOR", "%s is an address of another chain: no provider can have its signature", e.Show()).
				WithHint("name an auditor of this chain, or remove signedBy"))
		}
		out = append(out, text)
	}
	return out
}

func readPrice(r *sdl.Reporter, n *doc.Node) stack.Price {
	p := stack.Price{Ref: stack.Ref{Name: n.Name(), At: n}}
	o, ok := n.Object(r, priceShape.ShortFor("amount", ", denom: "+sdl.Denom))
	if !ok {
		return p
	}
	if denom := o.Require(r, "denom", "denom: ubrt"); denom != nil {
		text, ok := denom.Scalar(r, "denom")
		if ok && sdk.ValidateDenom(text) != nil {
			r.Report(denom.Problem("E-DENOM", "%s is not a denomination", denom.Show()).WithAllowed("a denomination of the chain, such as ubrt"))
		}
		p.Denom = text
	}
	if amount := o.Require(r, "amount", "amount: 20"); amount != nil {
		p.Amount = stack.ReadAmount(r, amount)
	}
	return p
}
