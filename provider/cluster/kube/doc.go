// Package kube runs the workloads of leases on Kubernetes.
//
// One lease is one namespace. What stands in it is a pure function of the workload, the settings of the provider and
// which services may start (render*.go); one server-side apply per object that differs, with one field manager, makes
// it so, and objects of the lease that are no longer rendered are deleted afterwards. The accepted manifest is kept in
// a Secret of the namespace that is written first, so the cluster itself is the provider's memory: a pass of Reconcile
// reads it back and finishes or repairs whatever was left undone, by this process or by one that was killed.
//
// depends_on is honoured by the replicas of a Deployment: they are 0 until the services it depends on are ready, and
// once a service was started it is never held back again. Whether it was started is read from the cluster, so that a
// restart changes nothing. This works on any cluster and needs no image of our own, but it needs Run to be running.
package kube
