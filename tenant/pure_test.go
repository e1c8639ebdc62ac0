package tenant

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"cosmossdk.io/math"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

func TestSettled(t *testing.T) {
	group := func(offers, eligible int) GroupOffers {
		return GroupOffers{Offers: make([]Offer, offers), Eligible: eligible}
	}
	for name, tc := range map[string]struct {
		groups           []GroupOffers
		height, lastNews int64
		want             bool
	}{
		"no bid at all":                {[]GroupOffers{group(0, 2)}, 10, 0, false},
		"one of two, just now":         {[]GroupOffers{group(1, 2)}, 10, 10, false},
		"one of two, one quiet block":  {[]GroupOffers{group(1, 2)}, 11, 10, false},
		"one of two, two quiet blocks": {[]GroupOffers{group(1, 2)}, 12, 10, true},
		"all that could":               {[]GroupOffers{group(2, 2)}, 10, 10, true},
		"one group still without":      {[]GroupOffers{group(2, 2), group(0, 2)}, 90, 10, false},
		"one group complete":           {[]GroupOffers{group(2, 2), group(1, 2)}, 11, 10, false},
	} {
		if got := settled(tc.groups, tc.height, tc.lastNews, 2); got != tc.want {
			t.Errorf("%s: settled = %v, want %v", name, got, tc.want)
		}
	}
}

// TestPriceOver: the price per month is the price per block times the blocks of a month, cut below 10^-18.
func TestPriceOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micro := rapid.Int64Range(1, 1e15).Draw(t, "price in 10^-6")
		block := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Minute)).Draw(t, "block time"))
		price := Price{sdk.DecCoin{Denom: "ubrt", Amount: math.LegacyNewDecWithPrec(micro, 6)}}
		got := price.Over(Month, block).Amount.BigInt()
		exact := new(big.Rat).SetFrac(big.NewInt(micro), big.NewInt(1e6))
		exact.Mul(exact, new(big.Rat).SetFrac(big.NewInt(int64(Month)), big.NewInt(int64(block))))
		exact.Mul(exact, new(big.Rat).SetInt(math.LegacyOneDec().BigInt()))
		want := new(big.Int).Quo(exact.Num(), exact.Denom())
		if got.Cmp(want) != 0 {
			t.Fatalf("%s over a month of %s blocks = %s, want %s", price, block, got, want)
		}
	})
	if p := (Price{sdk.DecCoin{Denom: "ubrt", Amount: math.LegacyOneDec()}}).Over(Month, 0); p != nil {
		t.Errorf("with an unknown block time: %v, want nil", p)
	}
}

func TestParseCoin(t *testing.T) {
	for in, want := range map[string]string{
		"5BRT": "5000000ubrt", "0.25BRT": "250000ubrt", "0.000001brt": "1ubrt", "5000000ubrt": "5000000ubrt", " 7 BRT ": "7000000ubrt", "3uatom": "3uatom",
	} {
		if got, err := ParseCoin(in); err != nil || got.String() != want {
			t.Errorf("ParseCoin(%q) = %s, %v, want %s", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"": "want a number", "5": "want a number", "BRT": "want a number", "-1BRT": "want a number", "0BRT": "more than zero",
		"0.0000001BRT": "smallest unit", "1.5ubrt": "smallest unit",
	} {
		if got, err := ParseCoin(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseCoin(%q) = %s, %v, want an error with %q", in, got, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for in, want := range map[string]string{
		"0ubrt": "0 BRT", "1ubrt": "1 ubrt", "12.5ubrt": "12.5 ubrt", "99ubrt": "99 ubrt", "100ubrt": "0.0001 BRT", "1500000ubrt": "1.5 BRT", "7.25uatom": "7.25 uatom",
	} {
		c, err := sdk.ParseDecCoin(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := FormatDec(c); got != want {
			t.Errorf("FormatDec(%s) = %q, want %q", in, got, want)
		}
	}
	b, err := json.Marshal(Price{sdk.DecCoin{Denom: "ubrt", Amount: math.LegacyMustNewDecFromStr("12.50")}})
	if err != nil || string(b) != `{"amount":"12.5","denom":"ubrt"}` {
		t.Errorf("JSON of a price: %s, %v", b, err)
	}
}

func TestMomentAt(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if m := momentAt(1120, 1000, now, 500*time.Millisecond); m.Height != 1120 || !m.Time.Equal(now.Add(time.Minute)) {
		t.Errorf("120 blocks on: %+v", m)
	}
	if m := momentAt(1<<62, 1000, now, time.Second); m.Time != nil {
		t.Errorf("beyond the runway: %+v, want no time", m)
	}
	if m := momentAt(2000, 1000, now, 0); m.Time != nil {
		t.Errorf("unknown block time: %+v, want no time", m)
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add([]byte(`{"version":1,"owner":"a","dseq":1,"step":"bids","manifest_hash":"` + strings.Repeat("00", 32) + `","groups":[{"name":"g","choice":{"oseq":1}}]}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeState(data)
		if err != nil {
			return
		}
		// What is accepted can be used without a panic, and is written back as it was read.
		_ = s.Hash()
		for i := range s.Groups {
			_ = s.BidID(i)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeState(again); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
	})
}
