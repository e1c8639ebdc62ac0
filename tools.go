//go:build tools

package berth

// Kept in go.mod for their .proto files, which scripts/generate.sh vendors.
import _ "github.com/cosmos/cosmos-proto"
