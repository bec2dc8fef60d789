package config

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/debugsidecar/debugsidecar/policies"
)

// compiled remembers what became of the newest files of rules, so that they are
// compiled and tested once and not each minute.
type compiled struct {
	hash  string
	rules *policies.OwnRules
	err   error
}

// loadRules reads the rules in a directory, and runs their tests. Where there
// are none, s.Rules stays nil. It returns the ids that the parameters may name.
func (s *Snapshot) loadRules(dir string, before *compiled) (ids []string, err error) {
	if dir == "" {
		return nil, nil
	}
	files, err := policies.ReadRuleFiles(dir)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && len(files) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	hash := files.Hash()
	if before.hash != hash {
		*before = compiled{hash: hash}
		before.rules, before.err = compileRules(files)
	}
	if before.err != nil {
		return files.IDs(), before.err
	}
	s.Rules, s.rulesHash = before.rules, hash
	for _, r := range s.Rules.Rules() {
		ids = append(ids, r.ID)
	}
	return ids, nil
}

func compileRules(files policies.RuleFiles) (*policies.OwnRules, error) {
	ctx := context.Background() // tests have a limit of their own
	rules, err := policies.CompileOwnRules(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("the cluster's own rules: %w", err)
	}
	if err := rules.Check(ctx); err != nil {
		return nil, fmt.Errorf("the tests of the cluster's own rules: %w", err)
	}
	return rules, nil
}
