package autoloader.reading;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.util.JsonParserDelegate;
import java.io.IOException;

/**
 * Stands between Spark's parser and the text, and notices what the parser would pass over in silence: fields that it
 * skips, numbers that JSON does not know, and whatever follows the object.
 *
 * <p>One serves for one line after the other. It has seen a line to its end once the parser has closed it.
 */
final class WatchedParser extends JsonParserDelegate {
    private final String reserved;
    private boolean isOdd;
    private boolean isClosed;

    /** {@code reserved}: a name that the parser knows, and no column of the data has. */
    WatchedParser(String reserved) {
        super(null);
        this.reserved = reserved;
    }

    /** Watches this one from now on. */
    WatchedParser over(JsonParser parser) {
        delegate = parser;
        isOdd = false;
        isClosed = false;
        return this;
    }

    /** Whether the parser took all that the line says. */
    boolean sawNothingOdd() {
        return isClosed && !isOdd;
    }

    @Override
    public JsonToken nextToken() throws IOException {
        JsonToken token = delegate.nextToken();
        if (token == JsonToken.FIELD_NAME) {
            isOdd = isOdd || delegate.currentName().equals(reserved);
        } else if (token == JsonToken.VALUE_NUMBER_FLOAT) {
            isOdd = isOdd || delegate.isNaN(); // true of INF, too
        }
        return token;
    }

    /** Spark's parser skips what it has no column for. */
    @Override
    public JsonParser skipChildren() throws IOException {
        isOdd = true;
        delegate.skipChildren();
        return this;
    }

    /**
     * Nowhere. From the place of a value and the bytes of the line, Spark would make the text of a column without a
     * copy, and otherwise than {@code from_json} does.
     */
    @Override
    public JsonLocation currentTokenLocation() {
        return JsonLocation.NA;
    }

    /** See {@link #currentTokenLocation()}. */
    @Override
    public JsonLocation currentLocation() {
        return JsonLocation.NA;
    }

    @Override
    public void close() throws IOException {
        if (!isClosed) {
            isClosed = true;
            isOdd = isOdd || hasMore();
        }
        delegate.close();
    }

    private boolean hasMore() {
        try {
            return delegate.nextToken() != null;
        } catch (IOException e) {
            return true;
        }
    }
}
