"""OpenVINO IR: `.xml` with `.bin`."""
