package kube

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	manifesttypes "berth.dev/berth/manifest/types"
)

// connectivityPage holds the tables that say who may connect to whom. The end-to-end test makes its cases of them.
const connectivityPage = "../../../docs/spec/connectivity.md"

// What has to stand in the tables.
var (
	portProtos = map[string]manifesttypes.Proto{
		"http": manifesttypes.PROTO_HTTP, "https": manifesttypes.PROTO_HTTPS, "tcp": manifesttypes.PROTO_TCP, "udp": manifesttypes.PROTO_UDP,
	}
	portForms = []string{
		"none",
		"[{service: client}]",
		"[{service: client, global: true}]",
		"[{service: itself}]",
		"[{service: itself, global: true}]",
		"[{global: true}]",
		"[{service: client}, {service: itself}]",
		"[{service: client}, {service: itself, global: true}]",
		"[{global: true}, {service: client}]",
	}
	portPeers = []string{
		"same service", "named service", "other service", "same tenant", "other tenant", "no lease", "ingress", "node", "outside", "entry",
	}
	places = []string{
		"the node", "the kubelet", "the API server, by its Service", "the API server, by its address", "the metadata service",
		"link-local addresses", "shared addresses", "private addresses of size A", "private addresses of size B",
		"private addresses of size C", "a cloud's host", "addresses for protocols", "addresses for measuring",
		"what the operator denies", "the internet", "DNS", "other ports of DNS", "the entry", "other ports of the entry",
		"a pod that is no lease's", "a neighbour over IPv6",
	}
	placeProtos = []string{"tcp", "udp", "icmp"}
)

// portRow is a row of the first table: an exposed port and who may connect to it.
type portRow struct {
	proto, form string
	cells       map[string]string
}

// to is the form for the service that has the port.
func (r portRow) to(t *testing.T, self string) []manifesttypes.To {
	t.Helper()
	if r.form == "none" {
		return nil
	}
	var list []struct {
		Service string `json:"service"`
		Global  bool   `json:"global"`
	}
	if err := yaml.UnmarshalStrict([]byte(r.form), &list); err != nil {
		t.Fatalf("to: %s: %v", r.form, err)
	}
	var out []manifesttypes.To
	for _, e := range list {
		if e.Service == "itself" {
			e.Service = self
		}
		out = append(out, manifesttypes.To{Service: e.Service, Global: e.Global})
	}
	slices.SortFunc(out, func(a, b manifesttypes.To) int { return strings.Compare(a.Service, b.Service) })
	return out
}

// place is a row of the second table: where instances may connect to.
type place struct {
	name, address string
	cells         map[string]string
}

// readConnectivity reads both tables and fails if they lack anything, have it twice, or have a cell that is neither open
// nor closed.
func readConnectivity(t *testing.T) ([]portRow, []place) {
	t.Helper()
	data, err := os.ReadFile(connectivityPage)
	if err != nil {
		t.Fatal(err)
	}
	var ports []portRow
	for _, row := range readTable(t, string(data), append([]string{"proto", "`to`"}, portPeers...)) {
		ports = append(ports, portRow{proto: row["proto"], form: row["`to`"], cells: row})
	}
	var elsewhere []place
	for _, row := range readTable(t, string(data), append([]string{"place", "address"}, placeProtos...)) {
		elsewhere = append(elsewhere, place{name: row["place"], address: row["address"], cells: row})
	}
	var missing []string
	for proto := range portProtos {
		for _, form := range portForms {
			if n := count(ports, func(r portRow) bool { return r.proto == proto && r.form == form }); n != 1 {
				missing = append(missing, fmt.Sprintf("%s, to: %s: %d rows", proto, form, n))
			}
		}
	}
	for _, name := range places {
		if n := count(elsewhere, func(p place) bool { return p.name == name }); n != 1 {
			missing = append(missing, fmt.Sprintf("%s: %d rows", name, n))
		}
	}
	for _, r := range ports {
		missing = append(missing, badCells(r.proto+", to: "+r.form, r.cells, portPeers, "entry")...)
	}
	for _, p := range elsewhere {
		missing = append(missing, badCells(p.name, p.cells, placeProtos, "icmp")...)
	}
	if len(ports) != len(portProtos)*len(portForms) || len(elsewhere) != len(places) || len(missing) > 0 {
		t.Fatalf("%s: %d and %d rows; wrong:\n%s", connectivityPage, len(ports), len(elsewhere), strings.Join(missing, "\n"))
	}
	return ports, elsewhere
}

func badCells(row string, cells map[string]string, columns []string, optional string) []string {
	var out []string
	for _, c := range columns {
		if v := cells[c]; v != "open" && v != "closed" && (v != "-" || c != optional) {
			out = append(out, fmt.Sprintf("%s: %s is %q", row, c, v))
		}
	}
	return out
}

func count[T any](all []T, which func(T) bool) (n int) {
	for _, v := range all {
		if which(v) {
			n++
		}
	}
	return n
}

// readTable returns the rows of the table with this header, without the marks of code.
func readTable(t *testing.T, page string, header []string) []map[string]string {
	t.Helper()
	var out []map[string]string
	inside := false
	for line := range strings.Lines(page) {
		cells := tableCells(line)
		switch {
		case slices.Equal(cells, header):
			inside = true
		case cells == nil:
			inside = false
		case !inside || strings.Trim(cells[0], "-") == "":
		case len(cells) != len(header):
			t.Fatalf("%s: a row has %d cells, its header %d: %s", connectivityPage, len(cells), len(header), line)
		default:
			row := map[string]string{}
			for i, c := range cells {
				row[header[i]] = strings.Trim(c, "`")
			}
			out = append(out, row)
		}
	}
	return out
}

func tableCells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// TestConnectivityPage holds that the tables have every case. The cases themselves need a cluster.
func TestConnectivityPage(t *testing.T) { readConnectivity(t) }
