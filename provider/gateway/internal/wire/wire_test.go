package wire

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

func TestProblemSurvivesTheWire(t *testing.T) {
	for kind, want := range kinds {
		p := &Problem{Code: kind, Message: "what is wrong", Next: "what to do"}
		got := FromError(p.GRPCStatus().Err())
		if *got != *p {
			t.Errorf("FromError(GRPCStatus(%+v)) = %+v", p, got)
		}
		if c := status.Code(fmt.Errorf("wrapped: %w", p)); c != want.code {
			t.Errorf("status.Code of %s = %s, want %s", kind, c, want.code)
		}
		if p.HTTPStatus() != want.http {
			t.Errorf("HTTPStatus of %s = %d, want %d", kind, p.HTTPStatus(), want.http)
		}
	}
}

func TestFromErrorOfOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want Kind
	}{
		"a proxy's 401":     {status.Error(codes.Unauthenticated, "x"), Unauthenticated},
		"message too large": {status.Error(codes.ResourceExhausted, "x"), TooLarge},
		"deadline":          {status.Error(codes.DeadlineExceeded, "x"), Unavailable},
		"no status at all":  {errors.New("x"), Internal},
		"a code of no kind": {status.Error(codes.DataLoss, "x"), Internal},
		"unavailable":       {status.Error(codes.Unavailable, "x"), Unavailable},
		"unimplemented":     {status.Error(codes.Unimplemented, "x"), Unimplemented},
	} {
		if got := FromError(tc.err); got.Code != tc.want {
			t.Errorf("%s: FromError = %s, want %s", name, got.Code, tc.want)
		}
	}
	if p := FromError(nil); p != nil {
		t.Errorf("FromError(nil) = %v", p)
	}
}

func TestStrictCodecRefusesUnknownFields(t *testing.T) {
	req := &gatewaytypes.LogsRequest{Id: markettypes.BidID{Owner: "o", Dseq: 1}, Service: "web"}
	known, err := Codec{}.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	unknown := append(append([]byte(nil), known...), 0xf8, 0x07, 0x01) // field 127, varint 1
	for name, tc := range map[string]struct {
		data   []byte
		strict bool
		ok     bool
	}{
		"known, strict":    {known, true, true},
		"unknown, strict":  {unknown, true, false},
		"unknown, lenient": {unknown, false, true},
		"garbage":          {[]byte{0xff, 0xff}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got gatewaytypes.LogsRequest
			err := Codec{Strict: tc.strict}.Unmarshal(tc.data, &got)
			if (err == nil) != tc.ok {
				t.Errorf("Unmarshal = %v, want ok %v", err, tc.ok)
			}
		})
	}
}

func FuzzCodec(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x0a, 0x00, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m gatewaytypes.PutManifestRequest
		if (Codec{Strict: true}).Unmarshal(data, &m) != nil {
			return
		}
		out, err := Codec{}.Marshal(&m)
		if err != nil {
			t.Fatalf("a message that was decoded cannot be encoded: %v", err)
		}
		var again gatewaytypes.PutManifestRequest
		if err := (Codec{Strict: true}).Unmarshal(out, &again); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
	})
}
