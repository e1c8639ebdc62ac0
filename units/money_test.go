package units

import (
	"testing"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

func TestFormatDec(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0 BRT", "10": "10 ubrt", "99.999999999999999999": "99.999999999999999999 ubrt", "100": "0.0001 BRT",
		"1500000": "1.5 BRT", "1000000": "1 BRT", "123456789.000000000000000001": "123.456789000000000000000001 BRT",
		"0.000000000000000001": "0.000000000000000001 ubrt", "-1500000": "-1500000 ubrt",
	} {
		if got := FormatDec(sdk.DecCoin{Denom: BaseDenom, Amount: math.LegacyMustNewDecFromStr(in)}); got != want {
			t.Errorf("FormatDec(%s) = %q, want %q", in, got, want)
		}
	}
	if got := FormatDec(sdk.DecCoin{Denom: "ibc/AB", Amount: math.LegacyMustNewDecFromStr("1500000.50")}); got != "1500000.5 ibc/AB" {
		t.Errorf("FormatDec of another denom = %q", got)
	}
	if got := FormatDec(sdk.DecCoin{Denom: BaseDenom}); got != "0" {
		t.Errorf("FormatDec of nothing = %q", got)
	}
}
