package bid

// The gas of a batch of bids, as the chain takes it for reading, writing and checking. The figures are upper bounds of
// what was measured on the chain itself, over sizes of batches and orders; a test beside the chain's benchmarks keeps
// them true. They spare each batch a simulation: a round trip, and an execution of all its bids.
const (
	// batchGas is the transaction around the bids: signature, fee, the provider's record, the deposits' hold.
	batchGas = 85_000
	// bidGas is a bid on an order of no size that has half of the bids that it can take.
	bidGas = 33_000
	// fullGas is what a bid costs above that when the order has all of them: they are read, and one of them is ended.
	fullGas = 48_000
	// orderByteGas is what reading one byte of an order costs.
	orderByteGas = 4
	// auditorGas is the reading of what one auditor has signed of us.
	auditorGas = 10_000
	// closeGas is the end of a bid, its deposit's return included.
	closeGas = 45_000
)

// Load is what the gas of a batch of bids depends on.
type Load struct {
	Bids int
	// OrderBytes is the size of the orders, Auditors how many they name, over all of them.
	OrderBytes, Auditors int
	// Full expects the orders to have all the bids that they take.
	Full bool
}

// Gas is what to ask for when the bids are sent.
func Gas(l Load) uint64 {
	each := bidGas
	if l.Full {
		each += fullGas
	}
	return batchGas + uint64(l.Bids)*uint64(each) + uint64(l.OrderBytes)*orderByteGas + uint64(l.Auditors)*auditorGas
}

// CloseGas is what to ask for when n bids are closed.
func CloseGas(n int) uint64 { return batchGas + uint64(n)*closeGas }
