"""Everything that is drawn: overlays, panels, sheets and charts."""
