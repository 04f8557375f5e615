package server

// Routes lists method and path of every public route.
func (s *Server) Routes() [][2]string {
	var routes [][2]string
	for _, r := range s.echo.Routes() {
		routes = append(routes, [2]string{r.Method, r.Path})
	}
	return routes
}
