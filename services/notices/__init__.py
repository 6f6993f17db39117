"""Notices: what people are told of an event, once: in their inbox, by e-mail and through the company's webhook."""
