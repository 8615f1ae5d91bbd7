"""Attachments: one volume made usable by one holder, from the reservation over the open door to the release."""
