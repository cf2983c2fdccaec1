package autoloader.reading;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.util.JsonParserDelegate;
import java.io.IOException;

/**
 * Stands between Spark's parser and the text of a value, and notices what the parser would pass over in silence: fields
 * that it skips, and numbers that JSON does not know.
 */
final class WatchedParser extends JsonParserDelegate {
    private boolean isOdd;

    WatchedParser() {
        super(null);
    }

    /** Watches this one from now on. */
    void over(JsonParser parser) {
        delegate = parser;
        isOdd = false;
    }

    boolean sawOdd() {
        return isOdd;
    }

    @Override
    public JsonToken nextToken() throws IOException {
        JsonToken token = delegate.nextToken();
        if (token == JsonToken.VALUE_NUMBER_FLOAT) {
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
}
