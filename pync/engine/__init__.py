"""The runners: loop, flow, session, and the modes built from them."""
