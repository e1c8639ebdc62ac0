// Package protofiles gives the protobuf descriptors of the program with all references between files resolved.
//
// A generated file registers its descriptor when its package starts, in the order of the files' names, so that
// tx.pb.go stands there before types.pb.go: what it says of the types is an unresolved placeholder for good. Signers
// that are named inside such a type (the owner of a DeploymentID) can't be found through it.
package protofiles

import (
	"sync"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Resolved gives all descriptors. The first call takes some tens of milliseconds, further ones nothing.
var Resolved func() (*protoregistry.Files, error) = sync.OnceValues(proto.MergedRegistry)
