"""HTTP for every service: app factory, sessions that commit before the reply, callers, problem details, limits, paging."""
