"""The report page: what was captured and why as one HTML file, which needs no network and nothing else.

`facts` turns entries and events into plain data, `page` puts the data into the template, and the scripts in `assets`
draw it in a browser.
"""
