"""Who was there: by a rotating code, by hand, from devices that were offline."""
