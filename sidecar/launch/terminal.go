package launch

type terminal struct{ fd int }

func (t *terminal) stopped(*Child) {}
