{"algorithm": "ed25519", "key_id": "8a24327da317f77e", "signature": "Heg2xIizwCt6ctD0QjdVFTQsY6zQcF8waYo1i55l1Txpu4D5cb0oGy036GNuV+5DLfNVXWJAvsLS+spO+bgZAQ=="}
