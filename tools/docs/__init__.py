"""What the site needs beside Sphinx: links to sources, pages made from code, a check of what was built."""
