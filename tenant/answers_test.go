package tenant

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stepClock advances by what is slept.
type stepClock struct{ now time.Time }

func (c *stepClock) Now() time.Time { return c.now }

func (c *stepClock) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return nil
}

func TestAwaitAnswers(t *testing.T) {
	views := []leaseView{{services: []ServiceStatus{{Name: "web", URLs: []string{"http://web.test"}}}}}
	for name, tc := range map[string]struct {
		answers []int
		err     error
		asked   int
		warning string
	}{
		"answers at once":              {answers: []int{200}, asked: 1},
		"the application's own 401":    {answers: []int{401}, asked: 1},
		"the entry learns of it":       {answers: []int{404, 503, 200}, asked: 3},
		"an application that says 404": {answers: []int{404}, asked: 11, warning: "status 404"},
		"out of reach":                 {err: errors.New("connection refused"), asked: 1, warning: "cannot be reached from here"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			var warnings []string
			m := &Machine{
				Clock: &stepClock{}, Timing: Timing{Poll: time.Second, AnswerWait: 10 * time.Second},
				Observe: func(e Event) {
					if w, ok := e.(Warned); ok {
						warnings = append(warnings, w.Text)
					}
				},
				Reach: func(context.Context, string) (int, error) {
					asked++
					if tc.err != nil {
						return 0, tc.err
					}
					return tc.answers[min(asked, len(tc.answers))-1], nil
				},
			}
			if err := m.awaitAnswers(t.Context(), views); err != nil {
				t.Fatal(err)
			}
			if asked != tc.asked {
				t.Errorf("asked %d times, want %d", asked, tc.asked)
			}
			if got := strings.Join(warnings, "\n"); (tc.warning == "") != (got == "") || !strings.Contains(got, tc.warning) {
				t.Errorf("warnings %q, want %q", got, tc.warning)
			}
		})
	}
}

func TestHTTPReachFindsLocalhost(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Host, "web.east.localhost:") {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	address := strings.Replace(server.URL, "127.0.0.1", "web.east.localhost", 1)
	if status, err := HTTPReach()(t.Context(), address); err != nil || status != http.StatusOK {
		t.Errorf("reach %s: %d, %v; want 200", address, status, err)
	}
}
