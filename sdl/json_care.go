package sdl

import (
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
)

// careJSON is how the instances of a service are looked after; what is not given is left out.
type careJSON struct {
	Probes          *manifesttypes.Probes  `json:"probes,omitempty"`
	MinReadySeconds uint32                 `json:"min_ready_seconds,omitempty"`
	Scale           *manifesttypes.Scale   `json:"scale,omitempty"`
	Rollout         *manifesttypes.Rollout `json:"rollout,omitempty"`
	Hooks           []hookJSON             `json:"hooks,omitempty"`
	Cron            *cronJSON              `json:"cron,omitempty"`
}

type hookJSON struct {
	Name            string   `json:"name"`
	When            string   `json:"when"`
	Once            bool     `json:"once"`
	Command         []string `json:"command"`
	Args            []string `json:"args"`
	DeadlineSeconds uint32   `json:"deadline_seconds,omitempty"`
}

type cronJSON struct {
	Schedule                string `json:"schedule"`
	Concurrency             string `json:"concurrency"`
	Suspended               bool   `json:"suspended"`
	StartingDeadlineSeconds uint32 `json:"starting_deadline_seconds,omitempty"`
	DeadlineSeconds         uint32 `json:"deadline_seconds,omitempty"`
}

func newCareJSON(s manifesttypes.Service) careJSON {
	out := careJSON{Probes: s.Probes, MinReadySeconds: s.MinReadySeconds, Scale: s.Scale, Rollout: s.Rollout}
	for _, h := range s.Hooks {
		out.Hooks = append(out.Hooks, hookJSON{
			Name: h.Name, When: word(h.When.String(), "WHEN_"), Once: h.Once, Command: list(h.Command), Args: list(h.Args), DeadlineSeconds: h.DeadlineSeconds,
		})
	}
	if c := s.Cron; c != nil {
		out.Cron = &cronJSON{
			Schedule: c.Schedule, Concurrency: word(c.Concurrency.String(), "CONCURRENCY_"), Suspended: c.Suspended,
			StartingDeadlineSeconds: c.StartingDeadlineSeconds, DeadlineSeconds: c.DeadlineSeconds,
		}
	}
	return out
}

// word is the name of an enum's value as documents write it.
func word(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

// extrasJSON is what a plan says of its application. URLs that are told of failures may hold secrets and are left out.
type extrasJSON struct {
	Format      string     `json:"format"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	Inputs      []Input    `json:"inputs"`
	Unbuilt     []string   `json:"unbuilt"`
	OpenPrices  bool       `json:"open_prices"`
	Budget      *priceJSON `json:"budget_per_month,omitempty"`
	Exclude     []string   `json:"exclude,omitempty"`
	Success     string     `json:"success_url,omitempty"`
}

type priceJSON struct {
	Amount string `json:"amount"`
	Denom  string `json:"denom"`
}

func newExtrasJSON(p *Plan) *extrasJSON {
	e := p.Extras
	if e == nil {
		return nil
	}
	out := &extrasJSON{
		Format: e.Format, Name: e.Name, Description: e.Description, Inputs: list(e.Inputs), Unbuilt: list(e.Unbuilt),
		OpenPrices: p.OpenPrices(), Exclude: e.Exclude, Success: e.Success,
	}
	if e.Budget != nil {
		out.Budget = &priceJSON{FormatPrice(e.Budget.PerMonth), e.Budget.Denom}
	}
	return out
}
