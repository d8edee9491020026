"""The leaderboard: one static page that works from disk, without a network."""
