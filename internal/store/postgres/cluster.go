package postgres

type cluster struct{}

func (c *cluster) init(*Store) {}
func (c *cluster) close()      {}
