//go:build campaign

package integration

const (
	gatewayKills = 100
	cutsEach     = 49
	listedKeys   = 1_000_000
)
