package sdl

import (
	"slices"

	"cosmossdk.io/math"
)

// Extras are what a manifest of an application says of its deployment that is neither for the chain nor for a provider.
type Extras struct {
	// Format is the manifest's, Name and Description are the application's.
	Format, Name, Description string
	// Inputs are the variables whose values do not stand in the manifest, sorted by name.
	Inputs []Input
	// Budget is the most that everything may cost per month, to be spread over the prices that are open; nil for none.
	Budget *Budget
	// Exclude are addresses of providers whose bids are not taken.
	Exclude []string
	// Deposit is what to put into escrow, such as 5BRT, and Select the choice of a bid; empty for the defaults.
	Deposit, Select string
	// Unbuilt are the services whose images are not known yet; they have none in the manifest.
	Unbuilt []string
	// Success is the URL, or the path on the site, to show after a deployment.
	Success string
	// Notices are URLs to tell of a rollout that failed.
	Notices []Notice
}

// The states of an input.
const (
	// InputGiven has a value, which is secret.
	InputGiven = "given"
	// InputGenerated gets a value that is made when it is first deployed.
	InputGenerated = "generated"
	// InputMissing has to be given before a deployment.
	InputMissing = "missing"
	// InputAbsent may be given, and is left out otherwise.
	InputAbsent = "absent"
)

// Input is a variable whose value does not stand in the manifest. Values are never part of it.
type Input struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	State       string `json:"state"`
}

// Budget is the most that a deployment may cost per month of 30 days, in micro tokens.
type Budget struct {
	PerMonth math.LegacyDec
	Denom    string
}

// Notice is a URL that is told of a rollout that failed, for a check of a service.
type Notice struct {
	Service string `json:"service"`
	Check   string `json:"check,omitempty"`
	URL     string `json:"url"`
}

// Open tells whether the price of a resource is still to be found: it is the network's then.
func (r Resource) Open() bool { return r.Price.IsNil() }

// OpenPrices tells whether the price of any resource of the plan is still to be found.
func (p *Plan) OpenPrices() bool {
	for _, g := range p.Groups {
		for _, r := range g.Resources {
			if r.Open() {
				return true
			}
		}
	}
	return false
}

// Generated tells whether the value of a variable is made when it is first deployed.
func (e *Extras) Generated(name string) bool {
	return e != nil && slices.ContainsFunc(e.Inputs, func(i Input) bool { return i.Name == name && i.State == InputGenerated })
}
