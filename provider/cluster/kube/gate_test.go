package kube

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
)

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		get    manifesttypes.HTTPGet
		answer string
		want   string
	}{
		"as wanted":    {manifesttypes.HTTPGet{Path: "/ok", Status: 200, Content: "fine"}, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall fine\n", ""},
		"another code": {manifesttypes.HTTPGet{Path: "/ok", Status: 200}, "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "not healthy (302, want 200)"},
		"another text": {manifesttypes.HTTPGet{Path: "/ok", Content: "fine"}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "not healthy (the answer to GET /ok does not hold the wanted text)"},
		"no http":      {manifesttypes.HTTPGet{Path: "/ok", Status: 200}, "hello\r\n", "not healthy (no answer)"},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer func() { _ = near.Close() }()
			tc.get.Headers = []manifesttypes.Header{{Name: "Host", Value: "a.example"}, {Name: "X-Probe", Value: "1"}}
			asked := make(chan *http.Request, 1)
			go func() {
				defer func() { _ = far.Close() }()
				req, err := http.ReadRequest(bufio.NewReader(far))
				asked <- req
				if err == nil {
					_, _ = far.Write([]byte(tc.answer))
				}
			}()
			if got := examine(t.Context(), near, &corev1.Pod{}, &tc.get); got != tc.want {
				t.Errorf("examine = %q, want %q", got, tc.want)
			}
			if req := <-asked; req == nil || req.Host != "a.example" || req.URL.Path != "/ok" || req.Header.Get("X-Probe") != "1" {
				t.Errorf("asked for %+v", req)
			}
		})
	}
}

// TestGateAsksUntilTheAnswerIsRight holds that an instance that has answered as it should is not asked again, and one that
// has not is, after a pause.
func TestGateAsksUntilTheAnswerIsRight(t *testing.T) {
	wrong, asked := "not healthy (302, want 200)", 0
	g := gate{ask: func(context.Context, *corev1.Pod, *manifesttypes.HTTPGet, time.Duration) string {
		asked++
		return wrong
	}}
	sv := clustertest.Service("web", "web:1")
	sv.Probes = &manifesttypes.Probes{Startup: &manifesttypes.Probe{Http: &manifesttypes.HTTPGet{Path: "/", Port: 8080, Status: 200}}}
	pods := []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{UID: types.UID("a")}}}
	now := time.Unix(1000, 0)
	look := func(after time.Duration, passed uint32, questions int) {
		t.Helper()
		v := g.judge(t.Context(), now.Add(after), sv, pods)
		if v.passed != passed || asked != questions || (v.wrong == "") != (passed == 1) {
			t.Errorf("after %s: %+v and %d questions, want %d passed and %d questions", after, v, asked, passed, questions)
		}
	}
	look(0, 0, 1)
	look(askAgain/2, 0, 1)
	look(askAgain, 0, 2)
	wrong = ""
	look(2*askAgain, 1, 3)
	look(time.Hour, 1, 3)
}

func TestGateWithoutAWay(t *testing.T) {
	_, c := serve(t, Config{})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: namespaceOf(testLease)}}
	got := c.gate.ask(t.Context(), pod, &manifesttypes.HTTPGet{Path: "/", Port: 8080, Status: 200}, time.Second)
	if !strings.HasPrefix(got, "not healthy (the instance could not be reached") {
		t.Errorf("ask = %q", got)
	}
}
