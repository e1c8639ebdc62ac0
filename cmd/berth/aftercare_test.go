package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

// TestFailuresArePosted: the URLs of a manifest are told of a rollout that failed, and of nothing else.
func TestFailuresArePosted(t *testing.T) {
	var got []tenant.FailedCheck
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var f tenant.FailedCheck
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
			t.Error(err)
		}
		got = append(got, f)
	}))
	defer server.Close()
	w := tenanttest.New()
	var errs bytes.Buffer
	s := &session{Machine: w.Machine(tenant.NewFileStore(t.TempDir(), "world")), err: &errs}
	x := &sdl.Extras{Notices: []sdl.Notice{{Service: "web", Check: "is up", URL: server.URL}, {Service: "worker", URL: "ftp://nowhere"}}}
	s.notify(t.Context(), x, &tenant.Failure{Kind: tenant.KindFunds, Err: errors.New("no funds")})
	s.notify(t.Context(), nil, &tenant.Failure{Kind: tenant.KindRollout, Err: errors.New("crash")})
	ended, end := context.WithCancel(t.Context())
	end()
	s.notify(ended, x, &tenant.Failure{Kind: tenant.KindRollout, Err: errors.New("crash")})
	if len(got) != 0 {
		t.Fatalf("told %+v", got)
	}
	s.notify(t.Context(), x, &tenant.Failure{Kind: tenant.KindRollout, Err: errors.New("service \"web\" failed: exit code 1")})
	if len(got) != 1 || got[0].Name != "is up" || len(got[0].Errors) != 1 || !strings.Contains(got[0].Errors[0], "exit code 1") {
		t.Errorf("told %+v", got)
	}
	if !strings.Contains(errs.String(), "onFailure of worker") || strings.Contains(errs.String(), "nowhere") {
		t.Errorf("said %q", errs.String())
	}
}

func TestSuccessText(t *testing.T) {
	urls := []string{"http://web.example/"}
	for want, got := range map[string]string{
		"":                                  successText(nil, urls) + successText(&sdl.Extras{}, urls) + successText(&sdl.Extras{Success: "/x"}, nil),
		"Open http://web.example/welcome\n": successText(&sdl.Extras{Success: "/welcome"}, urls),
		"Open https://example.com/\n":       successText(&sdl.Extras{Success: "https://example.com/"}, nil),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
