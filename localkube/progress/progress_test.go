package progress

import (
	"strings"
	"testing"
	"time"
)

func TestALogIsNotFlooded(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	p := newPrinter(&out, false, func() time.Time { return now })
	for i := range 25 {
		p.Live("package %d", i)
		now = now.Add(time.Second)
	}
	p.Say("done")
	want := "   10.0s package 10\n   20.0s package 20\n   25.0s done\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestATerminalLineIsRewritten(t *testing.T) {
	var out strings.Builder
	p := newPrinter(&out, true, func() time.Time { return time.Unix(0, 0) })
	p.Live("one")
	p.Live("%s", strings.Repeat("x", 500))
	p.Say("done")
	got := out.String()
	if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\r\x1b[K    0.0s done\n") {
		t.Errorf("got %q, want one line that replaced the others", got)
	}
	if len(got) > 2*lineWidth+40 {
		t.Errorf("a long line was not cut: %d bytes", len(got))
	}
}

func TestTheZeroPrinterIsSilent(t *testing.T) {
	p := &Printer{now: time.Now}
	p.Say("x")
	p.Live("y")
}
