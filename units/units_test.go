package units

import (
	"os"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// TestAddressesAreBerths: the prefix is set in the settings that the SDK reads, whatever their scope.
func TestAddressesAreBerths(t *testing.T) {
	if os.Getenv(sdk.EnvConfigScope) == "" {
		t.Errorf("%s is not set: every address costs two system calls", sdk.EnvConfigScope)
	}
	if s := sdk.AccAddress(make([]byte, 20)).String(); !strings.HasPrefix(s, AddressPrefix+"1") {
		t.Errorf("an address is %s, without the prefix %s", s, AddressPrefix)
	}
}
