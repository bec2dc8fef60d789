package diagnose

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/bpf"
)

// DoctorCommand returns doctor. worker is where the capture program is unless
// the flag or $DEBUGSIDECAR_WORKER says otherwise; try starts it, by default as
// the probe does.
func DoctorCommand(worker string, try TryWorker) *cobra.Command {
	var asJSON bool
	var runDir string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this container may do, what is missing, and what that costs",
		Long: `Tell what this container may do, what is missing, what that costs, and what it
would take. Each probe is tried by opening it.

Status 0: the video probe works here, at the tier that is named; 1: it does not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r := Examine(c.Context(), runDir, worker, try)
			if err := r.write(c.OutOrStdout(), asJSON); err != nil {
				return err
			}
			if !r.works() {
				return exitStatus(1)
			}
			return nil
		},
	}
	env := func(name, other string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return other
	}
	if try == nil {
		try = tryCapture
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&runDir, "run-dir", env("DEBUGSIDECAR_RUN_DIR", "/run/debugsidecar"), "the directory for the probe's token")
	c.Flags().StringVar(&worker, "worker", env("DEBUGSIDECAR_WORKER", worker), "the capture program")
	return c
}

// Examine looks at everything. Where try is nil, the capture program is only
// looked for.
func Examine(ctx context.Context, runDir, worker string, try TryWorker) *Report {
	if ctx == nil {
		ctx = context.Background()
	}
	probes, tier := probeFindings()
	r := &Report{Tier: tier.String()}
	r.Findings = append(r.Findings, processFindings()...)
	r.Findings = append(r.Findings, kernelFindings()...)
	r.Findings = append(r.Findings, probes...)
	r.Findings = append(r.Findings, readingFindings()...)
	r.Findings = append(r.Findings, placeFindings(ctx, runDir, worker, try)...)
	if max := os.Getenv("DEBUGSIDECAR_TIER"); max == bpf.TierUser.String() && tier == bpf.TierKernel {
		r.Tier = max
		r.Findings = append(r.Findings, Finding{
			Group: "place", Name: "tier", State: Limited, Found: "DEBUGSIDECAR_TIER is user",
			Costs: "the kernel tier, which this container could have", Takes: forKernelTier,
		})
	}
	return r
}
