"""Publishing clips on the channels of social networks, through Postiz."""
