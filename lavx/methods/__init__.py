"""The seven steps of a method, one module each, as in conf/method/."""
