package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"berth.dev/berth/manifest"
)

// newManifestCommand is for those who script each step; deploy and update send manifests by themselves.
func newManifestCommand(connect connector) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Send a manifest that was sealed by plain transactions",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "send FILE",
		Short: "Send a sealed manifest to the providers of the deployment's leases",
		Long: "Send a sealed manifest to the providers of the deployment's leases. FILE is what\n" +
			"`berthd tx deployment create|update --manifest-out FILE` wrote. A provider that has it already takes it again.",
		Example: "  berthd tx deployment create deploy.yaml --deposit 5000000ubrt --manifest-out m.json --from tenant\n" +
			"  berthd tx market create-lease BID_ID --from tenant\n" +
			"  berth manifest send m.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("read the sealed manifest: %w", err))
			}
			sealed, err := manifest.DecodeSealed(data)
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("%s: %w", args[0], err))
			}
			return withSession(connect, func(ctx context.Context, s *session, _ []string) error {
				accepted, err := s.SendSealed(ctx, sealed)
				if err != nil {
					return err
				}
				return s.print(accepted, func(w io.Writer) error {
					for _, a := range accepted {
						fmt.Fprintf(w, "group %s: accepted by %s\n", a.Group, a.Provider)
					}
					return nil
				})
			})(cmd, nil)
		},
	})
	return cmd
}
