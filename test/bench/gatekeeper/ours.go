package main

import (
	"context"
	"fmt"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

const namespace = "cameras"

// ours judges with the product's evaluator.
type ours struct{ evaluator *policies.Evaluator }

func newOurs(ctx context.Context) (*ours, error) {
	evaluator, err := policies.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("compiling our rules: %w", err)
	}
	return &ours{evaluator}, nil
}

// review returns the rules that deny the pod.
func (o *ours) review(ctx context.Context, pod *facts.Pod) (map[string]bool, error) {
	result, err := o.evaluator.Evaluate(ctx, policies.Request{
		Namespace: namespace,
		Modes:     policies.Modes{Enforce: policies.Restricted},
		Pod:       pod,
	})
	if err != nil {
		return nil, err
	}
	var refused map[string]bool
	for _, v := range result.Violations {
		if refused == nil {
			refused = map[string]bool{}
		}
		refused[v.Rule] = true
	}
	return refused, nil
}
