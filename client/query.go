package client

import (
	"context"
	"fmt"
	"strconv"

	rpcclient "github.com/cometbft/cometbft/rpc/client"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	"github.com/cosmos/gogoproto/proto"
)

// queryConn carries the modules' gRPC queries as ABCI queries.
type queryConn struct {
	rpc   *rpchttp.HTTP
	codec codec.Codec
}

// Invoke asks the node. An answer "not found" has gRPC code NotFound; a node that cannot be reached has Unavailable,
// so that the two are never confused.
//
// The height that the answer is of, also an answer "not found", comes as the header x-cosmos-block-height, for callers that
// give grpc.Header.
func (q queryConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	in, ok := req.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "query %s: request %T is not a protobuf message", method, req)
	}
	out, ok := reply.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "query %s: response %T is not a protobuf message", method, reply)
	}
	data, err := proto.Marshal(in)
	if err != nil {
		return status.Errorf(codes.Internal, "query %s: encode: %v", method, err)
	}
	res, err := q.rpc.ABCIQueryWithOptions(ctx, method, data, rpcclient.ABCIQueryOptions{})
	if err != nil {
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		return status.Errorf(codes.Unavailable, "query %s: reach the node: %v", method, err)
	}
	tellHeight(opts, res.Response.Height)
	if r := res.Response; r.Code != 0 {
		return status.Error(queryCode(r.Codespace, r.Code), r.Log)
	}
	if err := proto.Unmarshal(res.Response.Value, out); err != nil {
		return status.Errorf(codes.Internal, "query %s: decode: %v", method, err)
	}
	if err := codectypes.UnpackInterfaces(out, q.codec.InterfaceRegistry()); err != nil {
		return status.Errorf(codes.Internal, "query %s: %v", method, err)
	}
	return nil
}

// tellHeight hands the height of an answer to the header options of a call.
func tellHeight(opts []grpc.CallOption, height int64) {
	for _, o := range opts {
		if h, ok := o.(grpc.HeaderCallOption); ok {
			*h.HeaderAddr = metadata.Pairs(grpctypes.GRPCBlockHeightHeader, strconv.FormatInt(height, 10))
		}
	}
}

// NewStream is refused: the chain's queries do not stream.
func (queryConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, fmt.Errorf("streaming queries are not supported over ABCI")
}

// queryCode gives back the gRPC code that the SDK turned into an ABCI code.
func queryCode(codespace string, code uint32) codes.Code {
	if codespace != sdkerrors.RootCodespace {
		return codes.Internal
	}
	switch code {
	case sdkerrors.ErrKeyNotFound.ABCICode(), sdkerrors.ErrNotFound.ABCICode():
		return codes.NotFound
	case sdkerrors.ErrInvalidRequest.ABCICode():
		return codes.InvalidArgument
	case sdkerrors.ErrUnauthorized.ABCICode():
		return codes.Unauthenticated
	default:
		return codes.Internal
	}
}
