package pricing

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary a pricing program when it is started as one.
func TestMain(m *testing.M) {
	switch os.Getenv("BERTH_TEST_PROGRAM") {
	case "":
		os.Exit(m.Run())
	case "deaf":
		select {}
	case "dead":
		fmt.Fprintln(os.Stderr, "no licence\x1b[31m found")
		os.Exit(3)
	case "holder": // holds a lock until it is killed
		f, err := os.OpenFile(os.Getenv("LOCK"), os.O_RDWR, 0)
		if err != nil || lock(f) != nil {
			os.Exit(4)
		}
		fmt.Println("locked")
		select {}
	}
	testProgram()
}

// testProgram does with each order what the order's name says.
func testProgram() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	var kept []string
	for in.Scan() {
		var q wireQuestion
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			os.Exit(5)
		}
		action, arg, _ := strings.Cut(q.Order.ID, " ")
		switch action {
		case "ok":
			fmt.Printf("{\"id\":%d,\"price\":%q}\n", q.ID, q.Table)
		case "number":
			fmt.Printf("{\"id\":%d,\"price\":12.5,\"why\":{}}\n", q.ID)
		case "decline":
			fmt.Printf("{\"id\":%d,\"refuse\":\"do not like\\n it\"}\n", q.ID)
		case "price":
			fmt.Printf("{\"id\":%d,\"price\":%s}\n", q.ID, arg)
		case "line":
			fmt.Println(strings.ReplaceAll(arg, "ID", fmt.Sprint(q.ID)))
		case "long":
			fmt.Println(strings.Repeat("x", 3*maxLine))
		case "partial":
			fmt.Printf("{\"id\":%d,\"pri", q.ID)
			os.Exit(0)
		case "die":
			fmt.Fprintln(os.Stderr, "out of cheese")
			os.Exit(7)
		case "hang":
			select {}
		case "silent":
		case "keep": // answers in the reverse order when told to flush
			kept = append(kept, fmt.Sprintf("{\"id\":%d,\"price\":%q}", q.ID, q.Table))
		case "flush":
			kept = append(kept, fmt.Sprintf("{\"id\":%d,\"price\":%q}", q.ID, q.Table))
			for i := len(kept) - 1; i >= 0; i-- {
				fmt.Println(kept[i])
			}
		case "environment":
			fmt.Printf("{\"id\":%d,\"refuse\":%q}\n", q.ID, strings.Join(os.Environ(), "|"))
		case "question":
			fmt.Printf("{\"id\":%d,\"refuse\":%q}\n", q.ID, bytes.Replace(in.Bytes(), fmt.Appendf(nil, `"id":%d,`, q.ID), nil, 1))
		case "spawn":
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "BERTH_TEST_PROGRAM=holder", "LOCK="+arg)
			out, err := cmd.StdoutPipe()
			if err != nil || cmd.Start() != nil {
				os.Exit(6)
			}
			_, _ = bufio.NewReader(out).ReadString('\n')
			fmt.Printf("{\"id\":%d,\"price\":\"1\"}\n", q.ID)
		}
	}
	os.Exit(0)
}

// program is the test binary as a pricing program.
func program(t *testing.T, kind string) *Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := NewProgram(ProgramConfig{
		Command: []string{self}, Env: map[string]string{"BERTH_TEST_PROGRAM": kind, "GOCOVERDIR": t.TempDir(), "GORACE": "atexit_sleep_ms=0"},
		Timeout: time.Minute, StartTimeout: time.Minute, BatchTimeout: time.Minute,
	}, slog.New(slog.DiscardHandler))
	t.Cleanup(p.Close)
	return p
}

func questions(orders ...string) []Question {
	out := make([]Question, len(orders))
	for i, o := range orders {
		out[i] = Question{Order: o, Table: Whole(uint64(i + 1))}
	}
	return out
}

func text(q Quote) string {
	if q.Refusal.Code != Priced {
		return string(q.Refusal.Code)
	}
	return q.Price.String()
}

func texts(quotes []Quote) string {
	out := make([]string, len(quotes))
	for i, q := range quotes {
		out[i] = text(q)
	}
	return strings.Join(out, " ")
}

// TestProgramAnswers: whatever a program does with one order, that one gets no price and a reason, and the others
// theirs; the next batch finds the program well.
func TestProgramAnswers(t *testing.T) {
	for order, tc := range map[string]struct{ want, why string }{
		"ok":                              {"2", ""},
		"number":                          {"12.5", ""},
		"decline":                         {"program_declined", "do not like  it"},
		"price \"-1\"":                    {"program_garbage", "is not one"},
		"price -1":                        {"program_garbage", "-1"},
		"price 1e3":                       {"program_garbage", "1e3"},
		"price 0.1234567890123":           {"program_garbage", "0.1234567890123"},
		"price 1234567890123456789012345": {"program_garbage", "1234567890123456789012345"},
		"price null":                      {"program_garbage", "neither a price nor a refusal"},
		"price true":                      {"program_garbage", "true"},
		"price \"NaN\"":                   {"program_garbage", "NaN"},
		"line {\"id\":ID}":                {"program_garbage", "neither a price nor a refusal"},
		"line {\"id\":ID,\"price\":\"1\",\"refuse\":\"x\"}": {"program_garbage", "both"},
		"line hello":                           {"program_garbage", "hello"},
		"line":                                 {"program_garbage", "no JSON object"},
		"line []":                              {"program_garbage", "[]"},
		"line {\"price\":\"1\"}":               {"program_garbage", "no JSON object with the id"},
		"line {\"id\":999999,\"price\":\"1\"}": {"program_garbage", "id 999999"},
		"line {\"id\":-1,\"price\":\"1\"}":     {"program_garbage", "-1"},
		"long":                                 {"program_garbage", "a line of more than"},
		"die":                                  {"program_down", "exit status 7; it wrote: out of cheese"},
		"partial":                              {"program_down", "it ended by itself"},
		"hang":                                 {"program_late", "nothing came for 2s"},
		"silent":                               {"program_late", "nothing came for 2s"},
	} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			p := program(t, "answers")
			if order == "hang" || order == "silent" {
				p.cfg.Timeout = 2 * time.Second
			}
			quotes := p.Quote(t.Context(), questions("ok", order, "ok", "ok"))
			if got, want := texts(quotes), "1 "+tc.want+" 3 4"; got != want {
				t.Errorf("Quote = %s, want %s: %s", got, want, quotes[1].Refusal)
			}
			if why := quotes[1].Refusal.String(); tc.why != "" && !strings.Contains(why, tc.why) {
				t.Errorf("the reason is %q, want %q in it", why, tc.why)
			}
			if got := texts(p.Quote(t.Context(), questions("ok", "ok"))); got != "1 2" {
				t.Errorf("the next batch: %s", got)
			}
		})
	}
}

func TestProgramPipelines(t *testing.T) {
	p := program(t, "answers")
	if got := texts(p.Quote(t.Context(), questions("keep", "keep", "keep", "flush"))); got != "1 2 3 4" {
		t.Errorf("answers in another order: %s", got)
	}
	many := make([]string, 2000) // more than the pipes hold
	for i := range many {
		many[i] = "ok"
	}
	for i, q := range p.Quote(t.Context(), questions(many...)) {
		if q.Price != Whole(uint64(i+1)) {
			t.Fatalf("question %d: %s", i, text(q))
		}
	}
	if got := p.Quote(t.Context(), nil); len(got) != 0 {
		t.Errorf("no questions: %v", got)
	}
}

func TestProgramThatDoesNotRead(t *testing.T) {
	p := program(t, "deaf")
	p.cfg.Timeout, p.cfg.StartTimeout = time.Second, time.Second
	long := questions(make([]string, 3000)...)
	if got := p.Quote(t.Context(), long); got[0].Refusal.Code != ProgramLate || got[2999].Refusal.Code != ProgramLate {
		t.Errorf("Quote = %s and %s", got[0].Refusal, got[2999].Refusal)
	}
}

// TestProgramTooSlowForABatch: the time of a batch ends it; answers that come later are passed over.
func TestProgramTooSlowForABatch(t *testing.T) {
	p := program(t, "answers")
	if got := texts(p.Quote(t.Context(), questions("ok"))); got != "1" {
		t.Fatal(got)
	}
	p.cfg.BatchTimeout = time.Second
	before := p.child
	if got := texts(p.Quote(t.Context(), questions("ok", "keep"))); got != "1 program_late" {
		t.Errorf("Quote = %s", got)
	}
	p.cfg.BatchTimeout = time.Minute
	if got := texts(p.Quote(t.Context(), questions("flush", "ok"))); got != "1 2" {
		t.Errorf("the next batch: %s", got)
	}
	if p.child != before {
		t.Error("the program was started anew")
	}
}

// TestProgramRests: a program that fails again and again is left alone for longer and longer.
func TestProgramRests(t *testing.T) {
	p := program(t, "dead")
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	ask := func() string { return p.Quote(t.Context(), questions("ok"))[0].Refusal.String() }
	died := "the pricing program is not running: it ended: exit status 3; it wrote: no licence?[31m found"
	for i := range 2 {
		if got := ask(); got != died {
			t.Fatalf("time %d: %s", i, got)
		}
	}
	for _, pause := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
		if got := ask(); !strings.Contains(got, "in a row and is left alone for "+pause.String()) || !strings.Contains(got, "no licence") {
			t.Errorf("at rest: %s", got)
		}
		now = now.Add(pause)
		if got := ask(); got != died {
			t.Errorf("after the rest of %s: %s", pause, got)
		}
	}
	missing := NewProgram(ProgramConfig{Command: []string{filepath.Join(t.TempDir(), "none")}, BatchTimeout: time.Minute}, slog.New(slog.DiscardHandler))
	defer missing.Close()
	if got := missing.Quote(t.Context(), questions("ok"))[0].Refusal; got.Code != ProgramDown || !strings.Contains(got.Detail, "no such file") {
		t.Errorf("a program that is not there: %s", got)
	}
}

// TestProgramSeesNoSecrets: of the daemon's environment only what names places and languages is handed on.
func TestProgramSeesNoSecrets(t *testing.T) {
	t.Setenv("BERTH_KEYRING_PASSPHRASE", "hunter2")
	got := program(t, "answers").Quote(t.Context(), questions("environment"))[0].Refusal.Detail
	for _, v := range strings.Split(got, "|") {
		if name, _, _ := strings.Cut(v, "="); !strings.Contains("PATH LANG TZ BERTH_TEST_PROGRAM GOCOVERDIR GORACE", name) && !strings.HasPrefix(v, "...") {
			t.Errorf("the program sees %s", v)
		}
	}
	if strings.Contains(got, "hunter2") {
		t.Error("the program sees the passphrase")
	}
}

func TestProgramQuestion(t *testing.T) {
	q := Question{
		Order: "question", Table: Whole(3),
		Ask: Ask{
			Owner: "o", Denom: "ubrt", Max: Whole(7), Instances: 2, CPUMilli: 1500, MemoryBytes: 1, RAMBytes: 2, EphemeralBytes: 3,
			Volumes: []ClassBytes{{"beta2", 4}}, GPUs: []GPUs{{Count: 2, Any: []GPUKind{{Vendor: "nvidia"}}}, {Count: 1}}, HTTP: 1, Ports: 2, IPs: 3,
		},
	}
	want := `{"v":1,"order":{"id":"question","owner":"o","denom":"ubrt","max":"7","instances":2,"cpu_milli":1500,"memory_bytes":1,"ram_bytes":2,` +
		`"ephemeral_bytes":3,"storage":{"beta2":4},"gpus":[{"count":2,"any":["nvidia/*"]},{"count":1,"any":["*"]}],"http":1,"ports":2,"ips":3,"attributes":{}},` +
		`"owner":{"open_bids":0,"leases":0,"exposure":"0"},"cluster":{"height":0,"nodes":0,"open_bids":0,"leases":0,` +
		`"capacity":{"cpu_milli":0,"memory_bytes":0,"ephemeral_bytes":0,"gpus":0},"free":{"cpu_milli":0,"memory_bytes":0,"ephemeral_bytes":0,"gpus":0}},"table":"3"}`
	if got := strings.Replace(strings.TrimSpace(string(encodeQuestion(1, &q))), `"id":1,`, "", 1); got != want {
		t.Errorf("the line is\n%s\nwant\n%s", got, want)
	}
}

// TestQuestionOfTheDocumentation: the line that the page shows has the fields of a question, all of them.
func TestQuestionOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/ops/provider.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := bytes.Cut(page, []byte("```json\n"))
	text, _, _ = bytes.Cut(text, []byte("```"))
	var q wireQuestion
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(q)
	if err != nil || string(again) != strings.TrimSpace(string(text)) {
		t.Errorf("read and written again:\n%s\nwant\n%s", again, text)
	}
}

// TestProgramLeavesNothingBehind: what a program has started ends with it.
func TestProgramLeavesNothingBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := program(t, "answers")
	if got := texts(p.Quote(t.Context(), questions("spawn "+path))); got != "1" {
		t.Fatal(got)
	}
	if tryLock(f) == nil {
		t.Fatal("nothing holds the lock")
	}
	p.Close()
	if err := lock(f); err != nil { // returns once the holder is gone
		t.Error(err)
	}
	if got := p.Quote(t.Context(), questions("ok"))[0].Refusal.Code; got != ProgramDown {
		t.Errorf("a closed program answers %s", got)
	}
}

// FuzzAnswers: whatever a program writes, nothing panics, each order has a price or a reason, and a price is one that
// was written.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"{\"id\":1,\"price\":\"1\"}\n", "{\"id\":2,\"price\":2}\n{\"id\":1,\"refuse\":\"\"}\n", "x\n\n", "{\"id\":1,\"price\":\"-1\"}", "{\"id\":1e0,\"price\":\"1\"}\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		r := round{ids: []uint64{1, 2}, at: map[uint64]int{1: 0, 2: 1}, left: 2}
		quotes := make([]Quote, 2)
		in := bufio.NewReaderSize(bytes.NewReader(out), maxLine+1)
		for more := true; more; {
			var l line
			l, more = nextLine(in)
			if len(l.data) > maxLine+1 {
				t.Fatalf("a line of %d bytes", len(l.data))
			}
			left := r.left
			if took := r.take(l, quotes); took != (r.left < left) || took && l.part {
				t.Fatalf("took %q", l.data)
			}
		}
		for i, q := range quotes {
			if _, open := r.at[uint64(i+1)]; open && q != (Quote{}) {
				t.Fatalf("order %d has %v and is open", i, q)
			}
			if q.Refusal.Code == Priced && !q.Price.IsZero() && !bytes.ContainsAny(out, "123456789") {
				t.Fatalf("order %d costs %s", i, q.Price)
			}
			if len([]rune(q.Refusal.Detail)) > 300 {
				t.Fatalf("a reason of %d characters", len(q.Refusal.Detail))
			}
		}
	})
}
