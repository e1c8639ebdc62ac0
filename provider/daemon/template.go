package daemon

import (
	"fmt"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// WriteConfig gives a configuration as the text of a provider.yaml, with a comment on everything that an operator may
// want to change. ParseConfig reads it back to an equal configuration.
func WriteConfig(c Config) (string, error) {
	var out strings.Builder
	if err := configTemplate.Execute(&out, c); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	return out.String(), nil
}

// quote gives a scalar or list in YAML's flow style, quoted where it needs to be.
func quote(v any) (string, error) {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		return "", err
	}
	n.Style |= yaml.FlowStyle
	b, err := yaml.Marshal(&n)
	return strings.TrimSpace(string(b)), err
}

var configTemplate = template.Must(template.New("provider.yaml").Funcs(template.FuncMap{"q": quote}).Parse(
	`# provider.yaml: everything that the operator of a Berth provider decides. An unknown key is an error.
# Amounts of money are in {{.Pricing.Denom}} (1 BRT is 1,000,000 ubrt), durations are like 500ms, 30s or 10m.

chain:
  # The RPC of a node that you trust.
  node: {{q .Chain.Node}}
  chain_id: {{q .Chain.ChainID}}
  # The key that signs bids. Unless there is an owner it owns the provider's record and receives its earnings too.
  key: {{q .Chain.Key}}
  # The account that owns the record, pays deposits and receives earnings while its own key stays cold: the key above then
  # acts by the owner's grants (see berth-provider grants). Empty: the key is the owner.
  owner: {{q .Chain.Owner}}
  keyring_backend: {{q .Chain.KeyringBackend}}
  gas_prices: {{q .Chain.GasPrices}}
  # Replaces the measured time between blocks where prices per month and lifetimes are computed; 0s measures.
  block_time: {{q .Chain.BlockTime}}

# Where tenants reach this provider. host_uri is what the record on chain says; listen is where the daemon binds.
gateway:
  listen: {{q .Gateway.Listen}}
  host_uri: {{q .Gateway.HostURI}}

# What the provider's record says; a tenant's placement attributes must all be among these.
attributes: {{q .Attributes}}
info: {email: {{q .Info.Email}}, website: {{q .Info.Website}}}

# Write the record on chain at the start when it differs from this file.
auto_register: {{.AutoRegister}}

cluster:
  # kube runs workloads on Kubernetes; simulated runs none and only takes part in the market.
  driver: {{q .Cluster.Driver}}
  # Empty means the service account of the pod that the provider runs in.
  kubeconfig: {{q .Cluster.Kubeconfig}}
  # Generated host names are SERVICE-HASH.domain; ingress_port stands in URLs when it is neither 0 nor 80.
  domain: {{q .Cluster.Domain}}
  ingress_port: {{.Cluster.IngressPort}}
  # The same for https.
  https_port: {{.Cluster.HTTPSPort}}
  # Whether http ports are reached by https too, with a certificate for *.domain at the edge. auto goes by the listeners of the
  # Gateway; with an ingress controller, on says that it has such a certificate. https_redirect sends clients there.
  edge_tls: {{q .Cluster.EdgeTLS}}
  https_redirect: {{.Cluster.HTTPSRedirect}}
  # Whether TLS is passed through to https ports by server name. auto goes by the Gateway; with ingress-nginx, on says that
  # it was started with --enable-ssl-passthrough.
  tls_passthrough: {{q .Cluster.TLSPassthrough}}
  # The most that documents may set by http_options: bytes of a request's body, and any of its timeouts, up to 1h.
  http_options: {max_body_bytes: {{.Cluster.HTTPOptions.MaxBodyBytes}}, max_timeout: {{q .Cluster.HTTPOptions.MaxTimeout}}}
  # Addresses that can be leased: Services of type LoadBalancer with these annotations, for example {count: 16,
  # annotations: {metallb.io/address-pool: leased}, sharing_annotation: metallb.io/allow-shared-ip}. A count of 0 leases none.
  leased_ips: {count: {{.Cluster.LeasedIPs.Count}}, class: {{q .Cluster.LeasedIPs.Class}}, annotations: {{q .Cluster.LeasedIPs.Annotations}}, sharing_annotation: {{q .Cluster.LeasedIPs.SharingAnnotation}}}
  # The host of forwarded tcp and udp ports; empty means domain.
  node_host: {{q .Cluster.NodeHost}}
  # auto, gateway (Gateway API) or ingress.
  route_mode: {{q .Cluster.RouteMode}}
  ingress_class: {{q .Cluster.IngressClass}}
  # Where the ingress controller's pods run, if they can't be found, and addresses it connects from on the host's network.
  ingress_namespaces: {{q .Cluster.IngressNamespaces}}
  ingress_cidrs: {{q .Cluster.IngressCIDRs}}
  # Address ranges that workloads may not reach, besides private and link-local ones.
  deny_cidrs: {{q .Cluster.DenyCIDRs}}
  # Name servers that are no pods, such as a cache on each node: [169.254.20.10/32].
  dns_cidrs: {{q .Cluster.DNSCIDRs}}
  # auto, on or off; images that run as root need them.
  user_namespaces: {{q .Cluster.UserNamespaces}}
  # The runtime class of all instances, for example a sandbox; empty for the cluster's default.
  runtime_class: {{q .Cluster.RuntimeClass}}
  # Numeric users of images that are known not to run as root.
  image_users: {{q .Cluster.ImageUsers}}
  # Classes of persistent storage by their names in documents (default, beta1, beta2, beta3), each with the cluster's
  # StorageClass and, where its driver does not tell how much is left, with how much there is for leases:
  # {default: {class: standard}, beta3: {class: nvme, capacity: 500Gi}}. Claim ability/storage/CLASS for each.
  storage_classes: {{q .Cluster.StorageClasses}}
  # The devices that are sold, by vendor, for example {nvidia: {resource: nvidia.com/gpu, runtime_class: nvidia}}. Empty:
  # those of nvidia, amd and intel by the names of their device plugins.
  gpus: {{q .Cluster.GPUs}}
  # An image of this program, which doctor runs pods of to try what is enforced; empty tries nothing.
  probe_image: {{q .Cluster.ProbeImage}}
  # How often the nodes' capacity is read.
  poll: {{q .Cluster.Poll}}
  # The nodes of the simulated driver, for example [{name: a, cpu: "16", memory_gib: 64, storage_gib: 500}].
  nodes: {{q .Cluster.Nodes}}

# A host name outside of the domain is given to a tenant whose account a TXT record _berth.HOST names. The record is asked of
# resolver (ADDRESS:PORT; empty: as the system does) when a manifest comes. Without require_proof the first one gets it.
hosts: {require_proof: {{.Hosts.RequireProof}}, resolver: {{q .Hosts.Resolver}}}

# The share of the cluster that this provider may sell, in (0, 1]. Providers on one cluster must sum to at most 1.
capacity_factor: {{q .CapacityFactor}}

# How much more is sold than there is, from 1 to 10 with at most three digits after the point; empty is 1. Instances may use
# what was sold, and ask Kubernetes for that much less: they compete where all of them do.
overcommit: {cpu: {{q .Overcommit.CPU}}, memory: {{q .Overcommit.Memory}}, storage: {{q .Overcommit.Storage}}}

# What is kept free on each node, for example {cpu: 500m, memory: 1Gi, storage: 10Gi, pods: 5}.
reserve: {cpu: {{q .Reserve.CPU}}, memory: {{q .Reserve.Memory}}, storage: {{q .Reserve.Storage}}, pods: {{.Reserve.Pods}}}

{{if .Pricing.File -}}
# Prices and policy stand in a file of their own, relative to this one; changes of it come into force by themselves.
pricing:
  file: {{q .Pricing.File}}
{{- else -}}
# What is asked for a group: per_block or per_month (of 30 days), as decimals.
# cpu is for one core, memory and storage for one GiB, gpu for one device, endpoint for one way in from outside.
# To price classes of storage and models of gpus, and to reload without a restart, move this to a file of its own and
# name it here (file: pricing.yaml); docs/ops/provider.md describes it.
pricing:
  denom: {{q .Pricing.Denom}}
{{- end}}
{{- with .Pricing.PerBlock}}
  per_block: {cpu: {{q .CPU}}, memory: {{q .Memory}}, storage: {{q .Storage}}, gpu: {{q .GPU}}, endpoint: {{q .Endpoint}}, minimum: {{q .Minimum}}}
{{- end}}
{{- with .Pricing.PerMonth}}
  per_month: {cpu: {{q .CPU}}, memory: {{q .Memory}}, storage: {{q .Storage}}, gpu: {{q .GPU}}, endpoint: {{q .Endpoint}}, minimum: {{q .Minimum}}}
{{- end}}

bids:
  # How long a bid may become a lease; then its capacity and its deposit come back.
  valid_for: {{q .Bids.ValidFor}}
  # Tenants may want notice before a lease is taken back. Orders that want up to this get bids that promise it, for example
  # 24h; others get none. A lease with notice is closed only when it has run out.
  max_notice: {{q .Bids.MaxNotice}}
{{- if not .Pricing.File}}
  # If allow_owners lists any, only these are served; deny_owners never are.
  allow_owners: {{q .Bids.AllowOwners}}
  deny_owners: {{q .Bids.DenyOwners}}
{{- end}}
  # What the graphics processors are where the cluster does not say, for example {vendor: nvidia, model: a100, ram: 80Gi, interface: sxm}.
  gpu_attributes: {{q .Bids.GPUs}}

leases:
  # A lease whose first manifest does not come within this time is closed.
  manifest_timeout: {{q .Leases.ManifestTimeout}}
  # How often chain and cluster are compared when nothing happens, and workloads are applied again to repair drift.
  resync: {{q .Leases.Resync}}
  refresh: {{q .Leases.Refresh}}
  # A lease with a service that cannot run (no such image, keeps ending) for this long is closed, for example 24h; 0s never
  # closes one. Its tenant sees the reason in the status all the while.
  close_failing_after: {{q .Leases.CloseFailingAfter}}

# How services of one deployment reach each other when their groups run at different providers: docs/ops/provider.md.
link:
  enabled: {{.Link.Enabled}}
  # The address at which pods reach this process, and from which it reaches them; auto takes the one that leads to the nodes.
  address: {{q .Link.Address}}
  # Ports at that address, one for each port elsewhere that a lease here may use. Nobody but pods has to reach them.
  ports: {{q .Link.Ports}}
  # Providers at private, link-local and other addresses that are not of the internet are not dialled unless this is true.
  allow_private_dial: {{.Link.AllowPrivateDial}}
  # Where this process runs in the cluster: its namespace and the labels of its pods, which policies then name in place of
  # the address, for example berth and {app.kubernetes.io/name: berth-provider}.
  namespace: {{q .Link.Namespace}}
  pod_labels: {{q .Link.PodLabels}}
  # For each lease: connections that are open at once, new ones per second, the silence after which one is closed, and what
  # may wait in memory, of which every open connection takes at least a quarter of a MiB.
  connections: {{.Link.Connections}}
  per_second: {{.Link.PerSecond}}
  idle: {{q .Link.Idle}}
  buffer_mib: {{.Link.BufferMiB}}

withdraw:
  interval: {{q .Withdraw.Interval}}

# Prometheus metrics; empty serves none.
metrics:
  listen: {{q .Metrics.Listen}}

log:
  # debug, info, warn or error; text or json.
  level: {{q .Log.Level}}
  format: {{q .Log.Format}}
`))

// WritePricing gives the text of a pricing file with rates per month, with a comment on everything that it may hold.
// Package terms reads it.
func WritePricing(denom string, r RatesConfig) (string, error) {
	var out strings.Builder
	err := pricingTemplate.Execute(&out, struct {
		Denom string
		RatesConfig
	}{denom, r})
	if err != nil {
		return "", fmt.Errorf("write the pricing file: %w", err)
	}
	return out.String(), nil
}

var pricingTemplate = template.Must(template.New("pricing.yaml").Parse(
	`# pricing.yaml: what this provider asks for, and whom it serves. An unknown key is an error.
# A change comes into force within seconds, or at once by SIGHUP. A file with a mistake changes nothing: the former one
# stays in force, the log says what is wrong, and the metric berth_provider_pricing_current is 0.
# Lines that start with a # and no space are settings that are left out.

# Rates in base denoms (1 BRT is 1,000,000 ubrt), as decimals with at most 12 digits after the point. An order is priced
# in its own denom; orders in a denom without a table get no bid.
prices:
  {{.Denom}}:
    # month (of 30 days), hour or block. Rates become rates per block by the measured time between blocks.
    per: month
    cpu: {{.CPU}} # a core
    memory: {{.Memory}} # a GiB
    # A GiB of storage: one rate for all, or {ephemeral: RATE, ram: RATE, CLASS: RATE, "*": RATE}. ram costs what memory
    # does unless it is given; a class without a rate is not sold.
    storage: {{.Storage}}
    # A device: one rate for all, or one for each vendor/model/ram/interface, of which the most specific counts:
    # {nvidia/a100/80Gi: RATE, nvidia/*: RATE, "*": RATE}. What has no rate is not sold.
    gpu: {{.GPU}}
    # A way in from outside: one rate for all, or {http: RATE, port: RATE}.
    endpoint: {{.Endpoint}}
    # A leased address; without a rate none is leased.
    #ip: 500000
    # The least that is asked for any order.
    minimum: {{.Minimum}}

# An expression in CEL that makes the price from the table's. Amounts are exact; there are no floats.
#expression: 'free.cpu_milli * 100 < cluster.cpu_milli * 20 ? percent(table, 130) : table'

# Or a program that is kept running and answers a line of JSON for each order with another.
#program:
  #command: [/usr/local/bin/price-orders]
  #env: {MODEL: small}
  #timeout: 1s
  #start_timeout: 10s
  #batch_timeout: 3s

# Which orders get a bid at all. Everything here is checked before capacity and price.
policy:
  # If allow lists any, only these are served; deny never are.
  owners: {allow: [], deny: []}
  # An order must be ready to pay so much, so that a bid is worth its gas.
  #min_order_price: {{"{"}}{{.Denom}}: 50000}
  # What the amounts of min_order_price and max_owner_exposure are for: month, hour or block.
  #per: month
  # The denoms to accept; all that have prices unless given.
  #denoms: [{{.Denom}}]
  # Attributes (key=value, or a key alone for any value) that orders must ask for, and may not ask for.
  #attributes: {require: [region=eu-west], refuse: [tier]}
  # How many bids may be open at once, in all and for one owner.
  #max_open_bids: 2000
  #max_owner_open_bids: 100
  # How much of the provider's money the chain may hold as deposits of its bids and leases.
  #max_deposit: {{"{"}}{{.Denom}}: 500000000}
  # How much one owner's bids and leases may come to, by their prices.
  #max_owner_exposure: {{"{"}}{{.Denom}}: 1000000000}
  # An expression in CEL that must be true.
  #rule: 'order.gpus == 0 || owner.leases > 0'
`))
