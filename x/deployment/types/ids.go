package types

import (
	"fmt"
	"strconv"
	"strings"
)

// String gives OWNER/DSEQ.
func (id DeploymentID) String() string { return id.Owner + "/" + strconv.FormatUint(id.Dseq, 10) }

// String gives OWNER/DSEQ/GSEQ.
func (id GroupID) String() string { return fmt.Sprintf("%s/%d/%d", id.Owner, id.Dseq, id.Gseq) }

// DeploymentID is the deployment that the group belongs to.
func (id GroupID) DeploymentID() DeploymentID { return DeploymentID{Owner: id.Owner, Dseq: id.Dseq} }

// ParseDeploymentID reads what DeploymentID.String gives.
func ParseDeploymentID(s string) (DeploymentID, error) {
	owner, rest, ok := strings.Cut(s, "/")
	dseq, err := strconv.ParseUint(rest, 10, 64)
	if !ok || err != nil || owner == "" {
		return DeploymentID{}, fmt.Errorf("deployment id %q is not OWNER/DSEQ", s)
	}
	return DeploymentID{Owner: owner, Dseq: dseq}, nil
}
