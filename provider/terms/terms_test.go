package terms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
)

const whole = `prices:
  ubrt:
    per: month
    cpu: 2000000
    memory: "1000000.5"
    storage: {ephemeral: 1, ram: 2, beta2: 3, "*": 4}
    gpu: {"*": 1, nvidia/*: 2, nvidia/a100/80Gi: 3}
    endpoint: {http: 5, port: 6}
    ip: 7
    minimum: 8
  uusd: {per: block, cpu: 0.25, storage: 1, gpu: 9, endpoint: 2}
expression: |
  // dearer when little is free
  free.cpu_milli * 5 < cluster.cpu_milli
    ? percent(table, 130)
    : table
policy:
  owners: {allow: [], deny: [OWNER]}
  denoms: [ubrt]
  attributes: {require: [region=eu, tier], refuse: [gpu]}
  per: hour
  min_order_price: {ubrt: 3600}
  max_open_bids: 5
  max_owner_open_bids: 2
  max_deposit: {ubrt: 500}
  max_owner_exposure: {ubrt: 7200}
  rule: order.gpus == 0 || owner.leases > 0
`

var anOwner = sdk.AccAddress(make([]byte, 20)).String()

func parse(t *testing.T, text string) *Terms {
	t.Helper()
	terms, problems := Parse("pricing.yaml", []byte(text))
	if terms == nil {
		t.Fatalf("Parse: %v", problems)
	}
	return terms
}

func TestParse(t *testing.T) {
	terms := parse(t, strings.Replace(whole, "OWNER", anOwner, 1))
	prices, rules, err := terms.Bind(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(prices.Denoms()); got != "[ubrt uusd]" {
		t.Errorf("denoms %s", got)
	}
	if got := prices.Table("ubrt"); got.CPU.String() != "0.771604938272" || got.Memory.String() != "0.385802662038" || got.Minimum.String() != "0.00000308642" {
		t.Errorf("ubrt: %+v", got)
	}
	usd := prices.Table("uusd")
	if usd.CPU.String() != "0.25" || usd.AnyClass.Amount != pricing.Whole(1) || usd.Ephemeral != pricing.Whole(1) || usd.IP.Given ||
		usd.HTTP != pricing.Whole(2) || usd.Ports != pricing.Whole(2) || len(usd.GPU) != 1 {
		t.Errorf("uusd: %+v", usd)
	}
	if rules.MinOrderPrice[0].Amount != pricing.Whole(1) || rules.MaxExposure[0].Amount != pricing.Whole(2) || rules.MaxDeposit[0].Amount != pricing.Whole(500) ||
		rules.MaxOpenBids != 5 || rules.MaxOwnerOpenBids != 2 || len(rules.Require) != 2 || len(rules.Refuse) != 1 || len(rules.Deny) != 1 || rules.Rule == nil {
		t.Errorf("rules: %+v", rules)
	}
	ask := pricing.Ask{Denom: "ubrt", CPUMilli: 1000}
	full := pricing.Standing{Capacity: pricing.Resources{CPUMilli: 100}, Free: pricing.Resources{CPUMilli: 19}}
	free := pricing.Standing{Capacity: pricing.Resources{CPUMilli: 100}, Free: pricing.Resources{CPUMilli: 20}}
	dear, _ := prices.Price(&ask, &full)
	usual, _ := prices.Price(&ask, &free)
	if dear.String() != "1.003086419754" || usual.String() != "0.771604938272" {
		t.Errorf("priced at %s and %s", dear, usual)
	}
}

const head = "prices: {ubrt: {cpu: 1}}\n"

// TestParseRefuses: each mistake is told with its place and what to do, and all of them at once.
func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"empty":             {"", "pricing.yaml:1:1: error: the document is empty"},
		"not yaml":          {"prices: [", "pricing.yaml:1:"},
		"a list":            {"- 1", "pricing.yaml:1:1: error: a pricing file is a mapping with the keys prices, expression, program, policy, found a list"},
		"nothing":           {"policy: {}", "prices is missing"},
		"no denom":          {"prices: {}", "prices has no denom"},
		"unknown key":       {head + "polcy: {}\n", "pricing.yaml:2:1: error: polcy: a pricing file has no key \"polcy\" [E-UNKNOWN-KEY]\n  allowed: prices, expression, program, policy\n  did you mean: policy"},
		"unknown rate":      {"prices:\n  ubrt:\n    cpus: 1\n", "pricing.yaml:3:5: error: prices.ubrt.cpus: a price table has no key \"cpus\" [E-UNKNOWN-KEY]\n  allowed: per, cpu, memory, storage, gpu, endpoint, ip, minimum\n  did you mean: cpu"},
		"a key twice":       {head + head, "[E-DUPLICATE-KEY]"},
		"not a denom":       {"prices: {\"9 x\": {cpu: 1}}", "\"9 x\" is not a denom"},
		"free":              {"prices: {ubrt: {storage: 1}}", "cpu, memory and minimum are all zero"},
		"negative":          {"prices:\n  ubrt:\n    cpu: -1\n", "pricing.yaml:3:10: error: prices.ubrt.cpu: \"-1\" is negative [E-PRICE]"},
		"too large":         {"prices: {ubrt: {cpu: 999999999999999999999999999}}", "is too large [E-PRICE]"},
		"too fine":          {"prices: {ubrt: {cpu: 0.1234567890123}}", "is not an amount of money [E-PRICE]"},
		"an exponent":       {"prices: {ubrt: {cpu: 1e6}}", "is not an amount of money [E-PRICE]"},
		"a float":           {"prices: {ubrt: {cpu: .nan}}", "is not an amount of money [E-PRICE]"},
		"grouped":           {"prices: {ubrt: {cpu: 2_000_000}}", "did you mean: 2000000"},
		"a list of rates":   {"prices: {ubrt: {cpu: [1]}}", "pricing.yaml:1:22"},
		"period":            {"prices: {ubrt: {per: year, cpu: 1}}", "\"year\" is not a period [E-PER]\n  allowed: month (of 30 days), hour, block"},
		"a kind of gpu":     {"prices: {ubrt: {cpu: 1, gpu: {nvidia//80Gi: 1}}}", "not a kind of gpu: \"nvidia//80Gi\" has an empty part [E-GPU]"},
		"a kind twice":      {"prices: {ubrt: {cpu: 1, gpu: {nvidia: 1, nvidia/*: 1}}}", "nvidia/* and nvidia are one kind [E-GPU]"},
		"a kind for free":   {"prices: {ubrt: {cpu: 1, gpu: {nvidia: }}}", "gpu nvidia has no rate [E-MISSING]"},
		"a class":           {"prices: {ubrt: {cpu: 1, storage: {\"a/b\": 1}}}", "cannot name a class of storage [E-CLASS]"},
		"a syntax error":    {head + "expression: table *\n", "pricing.yaml:2:20: error: expression: mismatched input '<EOF>'"},
		"a name":            {head + "expression: \"table * order.gpu_count\"\n", "pricing.yaml:2:22: error: expression: nothing is called order.gpu_count here [E-EXPRESSION]"},
		"a near name":       {head + "expression: |\n  table *\n  order.gpuss\n", "pricing.yaml:4:3: error: expression: nothing is called order.gpuss here [E-EXPRESSION]\n    order.gpuss\n    ^\n  hint: did you mean order.gpus?"},
		"a text":            {head + "expression: order.owner\n", "the expression gives a text, not an amount or a whole number [E-EXPRESSION]\n  expression: order.owner\n              ^\n  hint: amount(\"1.25\") makes an amount of a text"},
		"a float result":    {head + "expression: 1.5\n", "the expression gives a float, not an amount or a whole number [E-EXPRESSION]"},
		"floats":            {head + "expression: table * 1.1\n", "there are no floats: write table * 11 / 10"},
		"too dear":          {head + "expression: 'order.attributes.all(a, order.attributes.all(b, a != b)) ? 1 : 2'\n", "units, more than 20000 [E-EXPRESSION]"},
		"too long":          {head + "expression: " + strings.Repeat("1+", 5000) + "1\n", "the expression has more than 8192 bytes"},
		"nested":            {head + "expression: " + strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300) + "\n", "[E-EXPRESSION]"},
		"a rule's price":    {head + "policy: {rule: table > amount(3)}\n", "nothing is called table here"},
		"a rule's number":   {head + "policy: {rule: order.gpus}\n", "the expression gives a whole number, not true or false"},
		"two ways":          {head + "expression: table\nprogram: {command: [/bin/true]}\n", "expression and program cannot both make the price [E-CONFLICT]"},
		"no program":        {head + "program: {command: []}\n", "no program is named [E-PROGRAM]"},
		"no command":        {head + "program: {timeout: 1s}\n", "command is missing"},
		"a time":            {head + "program: {command: [a], timeout: 5}\n", "\"5\" is not a time to wait [E-DURATION]"},
		"a long time":       {head + "program: {command: [a], timeout: 2m}\n", "at most 1m0s"},
		"an owner":          {head + "policy: {owners: {deny: [berth1nobody]}}\n", "pricing.yaml:2:26: error: policy.owners.deny[0]: \"berth1nobody\" is not the address of an account [E-OWNER]"},
		"a denom":           {head + "policy: {denoms: [ubtr]}\n", "there are no prices in ubtr [E-DENOM]"},
		"a limit's denom":   {head + "policy: {max_deposit: {ubrr: 1}}\n", "there are no prices in ubrr [E-DENOM]"},
		"a limit of what":   {head + "policy: {max_deposit: 100}\n", "hint: write max_deposit: {ubrt: 100}"},
		"no bids":           {head + "policy: {max_open_bids: 0}\n", "[E-RANGE]"},
		"half a bid":        {head + "policy: {max_open_bids: 0.5}\n", "[E-RANGE]"},
		"an attribute":      {head + "policy: {attributes: {refuse: [\"tier=\"]}}\n", "is not an attribute [E-ATTRIBUTE]"},
		"all at once, 1":    {"prices: {ubrt: {cpu: -1, memory: x}}\nexpression: tabel\nplicy: {}\n", "[E-PRICE]"},
		"all at once, 2":    {"prices: {ubrt: {cpu: -1, memory: x}}\nexpression: tabel\nplicy: {}\n", "prices.ubrt.memory: \"x\" is not an amount"},
		"all at once, 3":    {"prices: {ubrt: {cpu: -1, memory: x}}\nexpression: tabel\nplicy: {}\n", "hint: did you mean table?"},
		"all at once, 4":    {"prices: {ubrt: {cpu: -1, memory: x}}\nexpression: tabel\nplicy: {}\n", "did you mean: policy"},
		"more than a file":  {strings.Repeat("#", 1<<20+1), "[E-SIZE]"},
		"a second document": {head + "---\n" + head, "[E-YAML-MULTI]"},
	} {
		t.Run(name, func(t *testing.T) {
			terms, problems := Parse("pricing.yaml", []byte(tc.text))
			if terms != nil {
				t.Fatalf("Parse took it, want %q", tc.want)
			}
			got := (&FileError{Diagnostics: problems, source: []byte(tc.text)}).Error()
			if !strings.Contains(got, tc.want) {
				t.Errorf("Parse says\n%s\nwant in it\n%s", got, tc.want)
			}
			for _, d := range problems {
				if d.File != "pricing.yaml" {
					t.Errorf("no file in %s", d)
				}
			}
		})
	}
}

func TestBindRefuses(t *testing.T) {
	if _, _, err := parse(t, head).Bind(0); err == nil {
		t.Error("a block time of zero was taken")
	}
	terms := parse(t, "prices: {ubrt: {per: hour, cpu: 999999999999999999999999}}")
	if _, _, err := terms.Bind(100 * 24 * time.Hour); !errors.Is(err, pricing.ErrOverflow) {
		t.Errorf("an overflow: %v", err)
	}
}

// TestBlocksSumToThePrice: for every rate and block time, the blocks of a period never sum to less than its price, and
// to less than 10^-12 a block more.
func TestBlocksSumToThePrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micro := rapid.Uint64Min(1).Draw(t, "rate")
		rate := fmt.Sprintf("%d.%06d", micro/1e6, micro%1e6)
		per := rapid.SampledFrom([]string{"month", "hour"}).Draw(t, "per")
		period := map[string]time.Duration{"month": pricing.Month, "hour": time.Hour}[per]
		block := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "block"))
		terms, problems := Parse("p", fmt.Appendf(nil, "prices: {ubrt: {per: %s, cpu: %s, gpu: {a: %s}, storage: {c: %s}}}", per, rate, rate, rate))
		if terms == nil {
			t.Fatal(problems)
		}
		prices, _, err := terms.Bind(block)
		if err != nil {
			t.Fatal(err)
		}
		table := prices.Table("ubrt")
		for _, got := range []pricing.Amount{table.CPU, table.GPU[0].Rate, table.Classes[0].Rate} {
			asked, _ := new(big.Rat).SetString(rate)
			each, _ := new(big.Rat).SetString(got.String())
			blocks := big.NewRat(int64(period), int64(block))
			over := new(big.Rat).Sub(new(big.Rat).Mul(each, blocks), asked)
			if over.Sign() < 0 || over.Cmp(new(big.Rat).Mul(blocks, big.NewRat(1, 1e12))) >= 0 {
				t.Fatalf("%s a %s at %s is %s a block: off by %s", rate, per, block, got, over.FloatString(20))
			}
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHotReload: a good change comes into force, a bad one changes nothing and is told, once.
func TestHotReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pricing.yaml")
	var log strings.Builder
	write(t, path, head)
	var now *Terms
	w, err := Watch(path, slog.New(slog.NewTextHandler(&log, nil)), func(t *Terms) error {
		if t.Tables[0].CPU == pricing.Whole(13) {
			return errors.New("thirteen is not possible")
		}
		now = t
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		text  string
		force bool
		cpu   uint64
		loads int
		err   string
	}{
		{head, false, 1, 1, ""},
		{"prices: {ubrt: {cpu: 2}}\n", false, 2, 2, ""},
		{"prices: {ubrt: {cpu: -2}}\n", false, 2, 2, "pricing.yaml:1:22: error: prices.ubrt.cpu: \"-2\" is negative"},
		{"prices: {ubrt: {cpu: -2}}\n", false, 2, 2, "is negative"},
		{"prices: {ubrt: {cpu: -2}}\n", true, 2, 2, "is negative"},
		{"prices: {ubrt: {cpu: 2}}\n", false, 2, 3, ""},
		{"prices: {ubrt: {cpu: 13}}\n", false, 2, 3, "thirteen"},
		{"gone", false, 2, 3, "no such file"},
		{"prices: {ubrt: {cpu: 2}}\n", false, 2, 4, ""},
		{"prices: {ubrt: {cpu: 2}}\n", true, 2, 5, ""},
		{"prices: {ubrt: {cpu: 1}}\nprogram: {command: [./none]}\n", false, 2, 5, "pricing.yaml:2:20: error: program.command: exec: "},
	} {
		if step.text == "gone" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, path, step.text)
		}
		w.Check(step.force)
		s := w.Status()
		if now.Tables[0].CPU != pricing.Whole(step.cpu) || s.Loads != step.loads || (s.Err != nil) != (step.err != "") || s.Err != nil && !strings.Contains(s.Err.Error(), step.err) {
			t.Errorf("step %d: cpu %s, %+v, want %+v", i, now.Tables[0].CPU, s, step)
		}
	}
	if n := strings.Count(log.String(), "is negative"); n != 1 {
		t.Errorf("the mistake was logged %d times", n)
	}
	write(t, path, "prices: {}\n")
	if _, err := Watch(path, slog.New(slog.DiscardHandler), func(*Terms) error { return nil }); err == nil {
		t.Error("the first file was bad and was taken")
	}
}

// TestReloadWhileInUse: with readers that price orders all the time, every price is of one file, old or new.
func TestReloadWhileInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pricing.yaml")
	file := func(n int) string {
		return fmt.Sprintf("prices: {ubrt: {per: block, cpu: %d, memory: %d}}\nexpression: table + amount(%d)\n", n, n, n)
	}
	write(t, path, file(1))
	type inForce struct {
		prices *pricing.Set
		rules  *policy.Rules
	}
	var mu sync.RWMutex
	var now inForce
	w, err := Watch(path, slog.New(slog.DiscardHandler), func(t *Terms) error {
		prices, rules, err := t.Bind(time.Second)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		now = inForce{prices, rules}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			ask := pricing.Ask{Denom: "ubrt", CPUMilli: 1000, MemoryBytes: 1 << 30}
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				f := now
				mu.RUnlock()
				base, _ := f.prices.Table("ubrt").Price(&ask)
				price, refused := f.prices.Price(&ask, &pricing.Standing{})
				// two rates and the expression's amount, all of one file
				if three, _ := base.Add(f.prices.Table("ubrt").CPU); refused.Code != pricing.Priced || price != three {
					t.Errorf("priced at %s (%v), the table says %s", price, refused, base)
					return
				}
			}
		})
	}
	for n := range 50 {
		write(t, path, file(n+2))
		w.Check(false)
		if n%5 == 0 {
			write(t, path, "prices: {ubrt: {cpu: x}}\n")
			w.Check(false)
		}
	}
	close(stop)
	readers.Wait()
	if s := w.Status(); s.Err != nil || s.Loads != 51 {
		t.Errorf("status %+v", s)
	}
}

// FuzzPricingFile: no text makes Parse panic, take long or keep silent, and what it takes can be bound and prices an order
// at or above its minimum.
func FuzzPricingFile(f *testing.F) {
	for _, s := range []string{
		strings.Replace(whole, "OWNER", anOwner, 1), head, head + "program: {command: [a, b], env: {A: b}}\n", "prices: {ubrt: {cpu: 1e9}}",
		head + "expression: >\n  table\n  + amount(1)\n", head + "expression: 'a\n\n  b'\n", head + "expression: \"\\x41\"\n", head + "expression: |2\n   1\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		terms, problems := Parse("dir/p.yaml", data)
		if (terms == nil) != (problems.Errors() > 0) {
			t.Fatalf("terms %v with %d errors", terms != nil, problems.Errors())
		}
		for _, d := range problems {
			if d.Code == "" || d.Message == "" || d.Line < 0 || d.Column < 0 {
				t.Fatalf("a problem without a name: %+v", d)
			}
		}
		_ = (&FileError{Diagnostics: problems, source: data}).Error()
		if terms == nil {
			return
		}
		prices, _, err := terms.Bind(time.Second)
		if err != nil {
			return
		}
		for _, denom := range prices.Denoms() {
			a := pricing.Ask{Denom: denom, CPUMilli: 1, MemoryBytes: 1, EphemeralBytes: 1, HTTP: 1, Ports: 1}
			if price, refused := prices.Price(&a, &pricing.Standing{}); refused.Code == pricing.Priced && price.Cmp(prices.Table(denom).Minimum) < 0 {
				t.Fatalf("priced at %s, below the minimum", price)
			}
		}
	})
}

// TestRunLooksAtTheFile: a change comes into force when the interval has passed, or at once when told.
func TestRunLooksAtTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pricing.yaml")
	write(t, path, head)
	synctest.Test(t, func(t *testing.T) {
		loaded := make(chan struct{}, 1)
		w, err := Watch(path, slog.New(slog.DiscardHandler), func(*Terms) error {
			loaded <- struct{}{}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		<-loaded
		if err := w.Run(t.Context(), 0, nil); err == nil {
			t.Error("an interval of zero was taken")
		}
		ctx, cancel := context.WithCancel(t.Context())
		now, done := make(chan os.Signal), make(chan error, 1)
		go func() { done <- w.Run(ctx, 2*time.Second, now) }()
		start := time.Now()
		write(t, path, "prices: {ubrt: {cpu: 2}}\n")
		<-loaded
		if after := time.Since(start); after != 2*time.Second {
			t.Errorf("in force after %s", after)
		}
		now <- syscall.SIGHUP
		<-loaded
		synctest.Wait()
		if n := w.Status().Loads; n != 3 {
			t.Errorf("%d loads after the signal", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
