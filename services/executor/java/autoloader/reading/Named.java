package autoloader.reading;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.Serializable;
import java.util.HashMap;
import org.apache.hadoop.fs.Path;
import scala.collection.immutable.Map;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The files that are to be read, by their position: {@code autoloader.files}, a JSON array of their paths, and {@code
 * autoloader.sizes}, one of their lengths in bytes.
 */
final class Named implements Serializable {
    private static final long serialVersionUID = 1L;

    final String[] paths;
    final long[] sizes;
    private transient HashMap<String, Integer> positions;

    private Named(String[] paths, long[] sizes) {
        if (paths.length != sizes.length) {
            throw new IllegalArgumentException(paths.length + " files have " + sizes.length + " sizes");
        }
        this.paths = paths;
        this.sizes = sizes;
    }

    static Named of(Map<String, String> options) {
        return new Named(
                option(options, "autoloader.files", String[].class), option(options, "autoloader.sizes", long[].class));
    }

    /** What an option says, as JSON; without it, an empty array. */
    static <T> T option(Map<String, String> options, String name, Class<T> type) {
        try {
            return new ObjectMapper().readValue(CollectionConverters.asJava(options).getOrDefault(name, "[]"), type);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("the option " + name + " is not what it should be", e);
        }
    }

    /** The position of a file; null: it is none of these. */
    synchronized Integer positionOf(Path path) {
        if (positions == null) {
            positions = new HashMap<>();
            for (int at = 0; at < paths.length; at++) {
                positions.put(new Path(paths[at]).toString(), at);
            }
        }
        return positions.get(path.toString());
    }
}
