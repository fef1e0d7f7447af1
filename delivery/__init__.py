"""What happened to mail: delivery events, statistics, IP pools, routes. Its rooms are not built yet."""
