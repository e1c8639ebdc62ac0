package main

import (
	"context"
	"fmt"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/tenant"
)

// notify posts to the URLs that the manifest of an application names for a rollout that failed. Whether they answer
// changes nothing of the failure.
func (s *session) notify(ctx context.Context, x *sdl.Extras, failure error) {
	f := tenant.AsFailure(failure)
	if x == nil || ctx.Err() != nil || f.Kind != tenant.KindRollout && f.Kind != tenant.KindHook {
		return
	}
	for _, n := range x.Notices {
		hook, err := tenant.NewWebhook(n.URL, s.Clock)
		if err == nil {
			err = hook.PostFailure(ctx, tenant.FailedCheck{Name: firstNonEmpty(n.Check, n.Service), Errors: strings.Split(f.Error(), "\n")})
		}
		if err != nil {
			fmt.Fprintf(s.err, "%s onFailure of %s: %s\n", s.style.amber("Warning:"), printable(n.Service), printable(err.Error()))
		}
	}
}

// successText is where the manifest of an application sends people after a deployment; a path is one of the site.
func successText(x *sdl.Extras, urls []string) string {
	if x == nil || x.Success == "" {
		return ""
	}
	at := x.Success
	if strings.HasPrefix(at, "/") {
		if len(urls) == 0 {
			return ""
		}
		at = strings.TrimSuffix(urls[0], "/") + at
	}
	return "Open " + printable(at) + "\n"
}
