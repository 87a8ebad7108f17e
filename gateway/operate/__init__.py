"""What `my-jarvis admin …` and `my-jarvis doctor` type to the operator: tables, bars and JSON over the admin API."""
