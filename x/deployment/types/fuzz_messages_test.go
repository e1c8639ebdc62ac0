package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

// decoded is a message that came off the wire.
type decoded interface {
	Reset()
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
	sdk.HasValidateBasic
}

// messages are one of each kind, all valid.
func messages() []decoded {
	id, gid := types.DeploymentID{Owner: addr(1), Dseq: 1}, types.GroupID{Owner: addr(1), Dseq: 1, Gseq: 1}
	return []decoded{
		message(), &types.MsgUpdateDeployment{Id: id, ManifestHash: make([]byte, 32)}, &types.MsgCloseDeployment{Id: id},
		&types.MsgPauseGroup{Id: gid}, &types.MsgStartGroup{Id: gid}, &types.MsgCloseGroup{Id: gid},
		&types.MsgUpdateParams{Authority: addr(2), Params: types.DefaultParams()},
	}
}

// FuzzMessages: no message that decodes makes validation panic, and what passes keeps the limits.
func FuzzMessages(f *testing.F) {
	for i, m := range messages() {
		require.NoError(f, m.ValidateBasic())
		b, err := m.Marshal()
		require.NoError(f, err)
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		all := messages()
		m := all[int(kind)%len(all)]
		m.Reset()
		if m.Unmarshal(b) != nil || m.ValidateBasic() != nil {
			return
		}
		create, ok := m.(*types.MsgCreateDeployment)
		if !ok {
			return
		}
		for _, g := range create.Groups {
			if !g.Price().IsPositive() {
				t.Errorf("group %q costs %s", g.Name, g.Price())
			}
		}
	})
}

// FuzzGenesis: no genesis that decodes makes validation panic, and what passes is found by its key.
func FuzzGenesis(f *testing.F) {
	g := types.DefaultGenesis()
	id := types.DeploymentID{Owner: addr(1), Dseq: 5}
	g.Deployments = []types.Deployment{{Id: id, State: types.DEPLOYMENT_STATE_CLOSED, ManifestHash: make([]byte, 32), ClosedAt: 1, PruneAt: 2}}
	g.Groups = []types.Group{{Id: types.GroupID{Owner: addr(1), Dseq: 5, Gseq: 1}, State: types.GROUP_STATE_CLOSED, Spec: group("g")}}
	g.Floors = []types.PruneFloor{{Owner: addr(1), Dseq: 3}}
	require.NoError(f, g.Validate())
	b, err := g.Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var g types.GenesisState
		if g.Unmarshal(b) != nil || g.Validate() != nil {
			return
		}
		for _, d := range g.Deployments {
			if _, err := d.Id.Key(); err != nil {
				t.Errorf("deployment %s passes and has no key: %s", d.Id, err)
			}
		}
	})
}

// FuzzDeploymentID: what is read is written the same.
func FuzzDeploymentID(f *testing.F) {
	f.Add(addr(1) + "/7")
	f.Add("/")
	f.Add("a/07")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := types.ParseDeploymentID(s)
		if err != nil {
			return
		}
		if again, err := types.ParseDeploymentID(id.String()); err != nil || again != id {
			t.Errorf("%q is %s, and that is %s, %v", s, id, again, err)
		}
	})
}
