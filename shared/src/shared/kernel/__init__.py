"""Words every part of Unionhall shares: ids, time, money, errors, texts. Standard library only."""
