package serve

import (
	"time"

	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/gateway"
)

// gatewayConfig is cfg for the gateway.
func (r *run) gatewayConfig(cfg *config.Config, a *accounts) gateway.Config {
	l, t := cfg.Limits, cfg.Timeouts
	return gateway.Config{
		Auth:        a.chain,
		Open:        r.trees.open,
		Banner:      cfg.Banner,
		Location:    cfg.TimeZone.Location,
		DefaultType: cfg.DefaultType.Letter(),
		Limits: gateway.Limits{
			Sessions: int(l.Sessions), PerAddress: int(l.PerAddress), LineLength: int(l.LineLength),
			LoginFailures: int(l.LoginFailures), Unknown: int(l.UnknownCommands), Abandoned: int(l.Abandoned),
			HashSize: int64(l.HashSize), Tree: int(l.Tree),
			PerUser: int(l.PerUser), Waiting: int(l.Waiting), CommandRate: int(l.CommandRate),
		},
		Timeouts: gateway.Timeouts{
			Login: time.Duration(t.Login), Idle: time.Duration(t.Idle), IdleMax: time.Duration(t.IdleMax), DataOpen: time.Duration(t.DataOpen),
			Stall: time.Duration(t.Stall), Write: time.Duration(t.Write), Handshake: time.Duration(t.Handshake),
			Abandon: time.Duration(t.Abandon),
		},
		Data:     cfg.Data.Gateway(),
		Profile:  cfg.Profile.Name,
		Profiles: cfg.GatewayProfiles(),
		Host:     cfg.HostServed(),
		Proxy:    cfg.Proxy.Gateway(),
		Uploads: gateway.Uploads{
			ShowStaged:          cfg.Uploads.ShowStaged.VFS(),
			ResumeScope:         cfg.Uploads.ResumeScope.Gateway(),
			CommitOnControlLost: cfg.Uploads.ControlLost == "commit",
			LenientTLS:          cfg.Uploads.LenientTLS,
		},
		TLS: r.gatewayTLS(cfg, a),
		Rates: gateway.Rates{
			Session: cfg.Rate.Rates, User: cfg.SharedRates.User.Rates, Address: cfg.SharedRates.Address.Rates, Total: cfg.SharedRates.Total.Rates,
		},
		Defence: cfg.Defence.Gateway(),
		Logger:  r.log,
	}
}
