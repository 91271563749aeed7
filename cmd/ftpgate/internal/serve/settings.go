package serve

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/ftpgate/ftpgate/auth"
	"github.com/ftpgate/ftpgate/cmd/ftpgate/internal/config"
	"github.com/ftpgate/ftpgate/gateway"
	"github.com/ftpgate/ftpgate/vfs"
)

// gatewayConfig is cfg for the gateway.
func (r *run) gatewayConfig(cfg *config.Config, a *accounts) gateway.Config {
	l, t := cfg.Limits, cfg.Timeouts
	return gateway.Config{
		Auth:        a.chain,
		Open:        openHome(r.fsys),
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

// openHome is gateway.Config.Open: the tree of a principal is the one below its
// home. Users share what is opened; only a home of their own is closed.
func openHome(root vfs.FS) func(context.Context, *auth.Principal) (vfs.FS, func(), error) {
	return func(ctx context.Context, p *auth.Principal) (vfs.FS, func(), error) {
		home := strings.Trim(p.Home, "/")
		if home == "" {
			return root, nil, nil
		}
		info, err := root.Stat(ctx, home)
		if err == nil && !info.IsDir() {
			err = vfs.ErrNotDir
		}
		if err != nil {
			switch vfs.Kind(err) {
			case fs.ErrNotExist, vfs.ErrNotDir:
				err = fmt.Errorf("home %s is not a directory of what is served; make it, or give the user another home: %w", p.Home, fs.ErrNotExist)
			}
			return nil, nil, err
		}
		sub, err := vfs.Sub(root, home)
		if err != nil {
			return nil, nil, err
		}
		closer, ok := sub.(io.Closer)
		if !ok {
			return sub, nil, nil
		}
		return sub, func() { _ = closer.Close() }, nil
	}
}
